"""Animate a product photo: a cheap draft first, and the final clip only if nothing is wrong with the draft.

    python examples/product_photo.py shoe.jpg --sandbox

The draft costs cents, the final clip some ten times that. The same prompt and picture make no promise that the final
clip looks like the draft; what the draft shows is whether the picture and the camera move go together.
"""

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

from seedance_mcp import Clip, Studio

PROMPT = (
    "The camera orbits slowly by a quarter turn around the product, which stands still. "
    "Soft studio light travels along its edges. Plain background, nothing else moves."
)


async def animate(studio: Studio, photo: Path) -> Clip:
    """The final clip, or the draft if it has flaws."""
    async with studio:
        picture = await studio.upload(photo)  # once, for both clips
        draft = await studio.generate(
            prompt=PROMPT, image=picture.url, model="seedance-fast", duration=4, resolution="480p"
        )
        for remark in draft.remarks:
            print(f"draft: {remark}")
        if draft.remarks:
            return draft
        return await studio.generate(prompt=PROMPT, image=picture.url, duration=5, resolution="720p")


async def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Animate a product photo.")
    parser.add_argument("photo", type=Path)
    parser.add_argument("--sandbox", action="store_true")
    given = parser.parse_args(arguments)
    opening = Studio.sandbox if given.sandbox else Studio.from_env
    clip = await animate(opening(image_roots=[given.photo.parent]), given.photo.resolve())
    print(clip.path)
    return 1 if clip.remarks else 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
