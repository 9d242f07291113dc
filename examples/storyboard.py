"""A storyboard: one clip for each still, rendered side by side, bought only if the budget has room for all of them.

    python examples/storyboard.py 1.jpg 2.jpg 3.jpg 4.jpg --sandbox

Payments are made one after the other, whatever a program starts at once; the seller renders them in parallel. The paths
are printed in the order of the stills.
"""

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

from seedance_mcp import Clip, Studio

PROMPT = "A short shot of a story: the scene comes to life with small natural movement, the camera drifts slowly"
UPLOAD = 10_000
"""Micro-USD."""


class TooDear(Exception):
    """The budget has no room for the whole storyboard."""


async def shoot(studio: Studio, stills: Sequence[Path]) -> list[Clip]:
    async with studio:
        estimate = await studio.estimate(model="seedance-fast", duration=4, resolution="480p")
        needed = len(stills) * (estimate.price + UPLOAD)
        if needed > estimate.budget.left:
            raise TooDear(f"{len(stills)} clips need {needed} micro-USD, and {estimate.budget.left} are left")
        # Outside of the group nothing of it goes on: a failed shot cancels the waiting for the others, which are saved
        # all the same.
        async with asyncio.TaskGroup() as group:
            shots = [group.create_task(_shot(studio, still)) for still in stills]
    return [shot.result() for shot in shots]


async def _shot(studio: Studio, still: Path) -> Clip:
    return await studio.generate(prompt=PROMPT, image=still, model="seedance-fast", duration=4, resolution="480p")


async def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make one clip of each still.")
    parser.add_argument("stills", type=Path, nargs="+")
    parser.add_argument("--sandbox", action="store_true")
    given = parser.parse_args(arguments)
    stills = [still.resolve() for still in given.stills]
    opening = Studio.sandbox if given.sandbox else Studio.from_env
    try:
        clips = await shoot(opening(image_roots=[still.parent for still in stills]), stills)
    except TooDear as problem:
        print(problem)
        return 1
    for clip in clips:
        print(clip.path)
    return 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
