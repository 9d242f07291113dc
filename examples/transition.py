"""A transition from one keyframe to another: the clip starts on the first image and ends on the last.

    python examples/transition.py day.jpg night.jpg --sandbox

The two images should have the same shape and a common motif. How alike the clip's first and last frames are to them is
looked at when it is saved; what is off stands in the remarks.
"""

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

from seedance_mcp import Clip, Studio

PROMPT = "One smooth continuous change from the first picture to the last, without a cut, the camera holds still"


async def blend(studio: Studio, first: Path, last: Path) -> Clip:
    async with studio:
        return await studio.generate(prompt=PROMPT, image=first, last_image=last, duration=5, resolution="720p")


async def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Blend one image into another.")
    parser.add_argument("first", type=Path)
    parser.add_argument("last", type=Path)
    parser.add_argument("--sandbox", action="store_true")
    given = parser.parse_args(arguments)
    first, last = given.first.resolve(), given.last.absolute()
    opening = Studio.sandbox if given.sandbox else Studio.from_env
    clip = await blend(opening(image_roots=[first.parent, last.parent]), first, last)
    for remark in clip.remarks:
        print(remark)
    print(clip.path)
    return 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
