"""A vertical clip for phones from one hero image.

    python examples/vertical_clip.py hero.jpg "Steam rises from the cup, the camera tilts up" --sandbox

The frame is asked for as 9:16 whatever the image is. What becomes of the sides of a wide one is up to the seller: crop
it yourself first if that matters.
"""

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

from seedance_mcp import Clip, Studio


async def make_vertical(studio: Studio, hero: Path, prompt: str) -> Clip:
    async with studio:
        return await studio.generate(
            prompt=f"{prompt}. Vertical framing, the subject stays centred, one continuous shot.",
            image=hero,
            aspect_ratio="9:16",
            duration=5,
            resolution="720p",
            max_price_usd="0.60",
        )


async def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make a vertical clip of an image.")
    parser.add_argument("hero", type=Path)
    parser.add_argument("prompt", help="What moves, and how, without a full stop.")
    parser.add_argument("--sandbox", action="store_true")
    given = parser.parse_args(arguments)
    opening = Studio.sandbox if given.sandbox else Studio.from_env
    clip = await make_vertical(opening(image_roots=[given.hero.parent]), given.hero.resolve(), given.prompt)
    print(clip.path)
    return 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
