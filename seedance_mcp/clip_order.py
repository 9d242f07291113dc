"""What an agent asks for when it asks for a clip, and what that is the same as."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from seedance_mcp.errors import InvalidArgument
from seedance_mcp.studio.dialects import Dialect
from seedance_mcp.studio.models import MODELS, ClipRequest
from seedance_mcp.uploads import Picture

LONGEST_PROMPT = 5_000
_STAND_IN_PROMPT = "a slow camera move"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipOrder:
    """The arguments of a clip, as the agent gave them. ``max_price`` is micro-USD over uploads and clip together."""

    model: str = "seedance"
    prompt: str | None = None
    image: str | None = None
    last_image: str | None = None
    duration: int = 5
    resolution: str = "720p"
    aspect_ratio: str = "auto"
    generate_audio: bool | None = None
    camera_fixed: bool | None = None
    seed: int | None = None
    take: int = 1
    quote_id: str | None = None
    max_price: int | None = None


def check(clip: ClipOrder, *, partial: bool) -> None:
    if clip.model not in MODELS:
        raise InvalidArgument(f"model {clip.model[:40]!r} is not sold: choose {' or '.join(MODELS)}")
    if clip.take < 1:
        raise InvalidArgument(f"take {clip.take} is not a take: count from 1")
    if clip.prompt is not None and any("\ud800" <= character <= "\udfff" for character in clip.prompt):
        raise InvalidArgument("prompt contains half a character (a lone surrogate)", next="Send it as plain Unicode.")
    if clip.prompt is not None and len(clip.prompt) > LONGEST_PROMPT:
        raise InvalidArgument(f"prompt has {len(clip.prompt)} characters, and {LONGEST_PROMPT} is the most")
    if not (partial and clip.prompt is None) and not (clip.prompt or "").strip():
        raise InvalidArgument("prompt is empty: say what should move, and how")
    if clip.image is None and not partial:
        raise InvalidArgument("image is missing: give an https URL, or a path to an image")


def references(clip: ClipOrder) -> list[tuple[str, str]]:
    if clip.image is None and clip.last_image is not None:
        raise InvalidArgument("last_image needs an image to start from")
    pairs = (("image", clip.image), ("last_image", clip.last_image))
    return [(name, reference) for name, reference in pairs if reference is not None]


def clip_request(clip: ClipOrder, aspect: str, urls: list[str]) -> ClipRequest:
    return ClipRequest(
        model=clip.model,
        prompt=(clip.prompt or _STAND_IN_PROMPT).strip(),
        image=urls[0] if urls else "https://stablestudio.dev/stand-in.jpg",
        last_image=urls[1] if len(urls) > 1 else None,
        duration=clip.duration,
        resolution=clip.resolution,
        aspect_ratio=aspect,
        generate_audio=clip.generate_audio,
        camera_fixed=clip.camera_fixed,
        seed=clip.seed,
    )


def stand_in(picture: Picture, origin: str) -> str:
    """A URL to be quoted with: the seller looks at the form of it only."""
    return picture.url or f"{origin}/stand-in.jpg"


def canonical_request(clip: ClipOrder, pictures: list[Picture]) -> Mapping[str, object]:
    """What makes two calls the same purchase: text in NFC, defaults filled in, images by their bytes where known."""
    return {
        "prompt": unicodedata.normalize("NFC", clip.prompt or "").strip(),
        "images": [dict(picture.identity) for picture in pictures],
        "duration": clip.duration,
        "resolution": clip.resolution,
        "aspect_ratio": clip.aspect_ratio,
        "generate_audio": clip.generate_audio,
        "camera_fixed": clip.camera_fixed or False,
        "seed": clip.seed,
    }


def quoted_terms(clip: ClipOrder, dialect: Dialect) -> dict[str, object]:
    return {
        "model": clip.model,
        "generation": dialect.generation,
        "duration": clip.duration,
        "resolution": clip.resolution,
        "aspect_ratio": clip.aspect_ratio,
        "generate_audio": clip.generate_audio,
    }
