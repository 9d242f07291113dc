"""Pictures drawn from nothing: hills at a lake, in the light of one of three hours."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
HORIZON = 0.64
FINE = 2
"""Shapes are drawn this many times larger and scaled down, for smooth edges."""


@dataclass(frozen=True, slots=True)
class Light:
    """``sky`` runs from the zenith to the horizon; ``sun`` is the place of its centre as shares of width and height."""

    sky: tuple[Colour, ...]
    glow: Colour
    disc: Colour
    far: Colour
    near: Colour
    sun: tuple[float, float]


DUSK = Light(
    ((38, 33, 84), (94, 56, 120), (193, 85, 119), (244, 142, 99), (255, 206, 138)),
    (255, 190, 110),
    (255, 244, 214),
    (178, 103, 128),
    (26, 20, 48),
    (0.63, 0.355),
)
DAWN = Light(
    ((74, 124, 178), (126, 172, 208), (186, 212, 222), (244, 222, 200), (255, 236, 200)),
    (255, 236, 190),
    (255, 253, 240),
    (160, 182, 194),
    (24, 54, 62),
    (0.34, 0.42),
)
NIGHT = Light(
    ((7, 10, 30), (14, 22, 56), (27, 42, 86), (48, 70, 116), (86, 108, 148)),
    (150, 176, 214),
    (240, 243, 250),
    (44, 60, 96),
    (6, 10, 22),
    (0.70, 0.26),
)


def landscape(width: int, height: int, seed: str = "", light: Light | None = None) -> Image.Image:
    """The same picture for the same arguments; the seed also picks the hour unless ``light`` does."""
    chance = random.Random(seed)  # noqa: S311 - it draws hills
    light = light or chance.choice((DUSK, DAWN, NIGHT))
    wide, high = width * FINE, height * FINE
    shore = round(high * HORIZON)
    land = _sky(wide, high, light)
    _clouds(land, light, chance)
    for depth in range(5):
        _ridge(land, light, chance, depth / 4)
    land = land.crop((0, 0, wide, shore))
    picture = Image.new("RGB", (wide, high))
    picture.paste(land)
    picture.paste(_lake(land, high - shore, light, chance), (0, shore))
    return _vignette(picture.resize((width, height), Image.Resampling.LANCZOS))


def _sky(wide: int, high: int, light: Light) -> Image.Image:
    ramp = Image.new("RGB", (1, len(light.sky)))
    ramp.putdata(light.sky)
    shore = round(high * HORIZON)
    margin = 0.5 / len(light.sky)  # half a stop, so that the outer colours start at the edges
    box = (0, len(light.sky) * margin, 1, len(light.sky) * (1 - margin))
    sky = Image.new("RGB", (wide, high), light.sky[-1])
    sky.paste(ramp.resize((wide, shore), Image.Resampling.BICUBIC, box=box))
    x, y = wide * light.sun[0], high * light.sun[1]
    for radius, strength in ((0.95, 0.45), (0.42, 0.55), (0.17, 0.7)):
        _shine(sky, light.glow, x, y, round(high * radius), strength)
    disc = round(high * 0.052)
    ImageDraw.Draw(sky).ellipse((x - disc, y - disc, x + disc, y + disc), fill=light.disc)
    return sky


def _shine(picture: Image.Image, colour: Colour, x: float, y: float, radius: int, strength: float) -> None:
    """A soft round light around a point."""
    round_gradient = Image.radial_gradient("L")
    edge = round_gradient.tobytes()[128 * 256]  # its level where the circle touches the square
    falloff = [round(255 * strength * max(0, 1 - level / edge) ** 2) for level in range(256)]
    mask = round_gradient.point(falloff).resize((2 * radius, 2 * radius), Image.Resampling.BICUBIC)
    picture.paste(Image.new("RGB", mask.size, colour), (round(x) - radius, round(y) - radius), mask)


def _clouds(picture: Image.Image, light: Light, chance: random.Random) -> None:
    wide, high = picture.size
    mask = Image.new("L", (wide // 4, high // 4))
    pen = ImageDraw.Draw(mask)
    for _ in range(9):
        x, y = chance.uniform(-0.1, 1.0) * mask.width, chance.uniform(0.08, 0.46) * mask.height
        length, thick = chance.uniform(0.16, 0.42) * mask.width, chance.uniform(0.004, 0.013) * mask.height
        for _ in range(7):
            left, drop = x + chance.uniform(0, 0.5) * length, y + chance.uniform(-2.5, 2.5) * thick
            right = left + length * chance.uniform(0.25, 0.6)
            pen.ellipse((left, drop - thick, right, drop + thick), fill=round(30 + 190 * drop / mask.height))
    mask = mask.filter(ImageFilter.GaussianBlur(mask.height / 130)).resize(picture.size, Image.Resampling.BICUBIC)
    picture.paste(Image.new("RGB", picture.size, light.glow), mask=mask)


def _ridge(picture: Image.Image, light: Light, chance: random.Random, depth: float) -> None:
    """A line of hills, ``depth`` 0 far and 1 near; its foot fades into the haze of the next valley."""
    wide, high = picture.size
    crest, swing = HORIZON - 0.17 + 0.13 * depth, 0.055 - 0.022 * depth
    waves = [
        (chance.uniform(0.7, 1.3) * pitch, chance.uniform(0, math.tau), 1 / pitch) for pitch in (1, 2.3, 5, 11, 23)
    ]

    def top(share: float) -> float:
        height = sum(size * math.sin(share * math.tau * pitch + phase) for pitch, phase, size in waves)
        return high * (crest - swing * height)

    shape = Image.new("L", picture.size)
    pen = ImageDraw.Draw(shape)
    outline = [(x, top(x / wide)) for x in range(0, wide + 8, 8)]
    pen.polygon([*outline, (wide, high), (0, high)], fill=255)
    if depth == 1:
        _firs(pen, top, wide, high, chance)
    colour = _mixed(light.far, light.near, depth)
    foot = Image.new("RGB", (1, 2))
    foot.putdata([colour, _mixed(colour, light.glow, 0.34 * (1 - depth))])
    first, last = round(high * (crest - swing)), round(high * (crest + 0.16))
    body = Image.new("RGB", picture.size, colour)
    body.paste(foot.resize((wide, last - first), Image.Resampling.BICUBIC), (0, first))
    picture.paste(body, mask=shape)


def _firs(pen: ImageDraw.ImageDraw, top: Callable[[float], float], wide: int, high: int, chance: random.Random) -> None:
    for _ in range(110):
        share = chance.choice((chance.uniform(0, 0.36), chance.uniform(0.74, 1.0), chance.uniform(0, 1)))
        x, tall = share * wide, high * chance.uniform(0.018, 0.07) * (1 if share < 0.36 or share > 0.74 else 0.5)
        base = top(share) + high * 0.01
        for tier in range(5):
            half = tall * (0.07 + 0.055 * tier)
            tip = base - tall * (1 - 0.17 * tier)
            pen.polygon([(x, tip), (x - half, tip + tall * 0.34), (x + half, tip + tall * 0.34)], fill=255)


def _lake(land: Image.Image, depth: int, light: Light, chance: random.Random) -> Image.Image:
    """``land`` mirrored in water that is ``depth`` high, with ripples that widen towards the viewer."""
    wide = land.width
    mirrored = land.transpose(Image.Transpose.FLIP_TOP_BOTTOM).crop((0, 0, wide, min(land.height, depth * 3 // 2)))
    mirrored = mirrored.resize((wide, depth), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(depth / 110))
    water = Image.new("RGB", mirrored.size)
    for y in range(depth):
        near = y / depth
        ripple = math.sin(70 * math.log1p(6 * near)) + 0.6 * math.sin(31 * math.log1p(9 * near) + 2)
        water.paste(mirrored.crop((0, y, wide, y + 1)), (round(wide * 0.007 * near * ripple), y))
        if ripple and near:
            edge = round(wide * 0.007 * near * abs(ripple)) + 1  # the strip that the shift left empty
            side = 0 if ripple > 0 else wide - edge
            water.paste(mirrored.crop((side, y, side + edge, y + 1)), (side, y))
    water = Image.blend(water, Image.new("RGB", water.size, _mixed(light.sky[0], light.sky[2], 0.5)), 0.2)
    _glitter(water, light, chance)
    return water


def _glitter(water: Image.Image, light: Light, chance: random.Random) -> None:
    mask = Image.new("L", water.size)
    pen = ImageDraw.Draw(mask)
    for _ in range(420):
        near = chance.random() ** 1.4
        x = water.width * (light.sun[0] + chance.gauss(0, 0.012 + 0.055 * near))
        half, y = water.width * chance.uniform(0.002, 0.006 + 0.016 * near), near * water.height
        pen.ellipse((x - half, y, x + half, y + 1 + 5 * near), fill=round(chance.uniform(40, 190) * (1 - 0.6 * near)))
    water.paste(Image.new("RGB", water.size, light.glow), mask=mask.filter(ImageFilter.GaussianBlur(1.2)))


def _vignette(picture: Image.Image) -> Image.Image:
    shade = [255 - round(70 * (level / 255) ** 3) for level in range(256)]
    mask = Image.radial_gradient("L").point(shade).resize(picture.size, Image.Resampling.BICUBIC)
    return ImageChops.multiply(picture, Image.merge("RGB", (mask, mask, mask)))


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue
