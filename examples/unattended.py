"""An unattended pipeline under a daily cap: every picture of a folder becomes a clip, tonight or another night.

    17 3 * * *  python examples/unattended.py ~/inbox        # in a crontab

The cap is the operator's, in policy.toml, and this script cannot raise it:

    version = 1
    [caps]
    per_payment = "0.10"
    per_hour = "1.00"
    per_day = "1.00"

A run ends when the cap is reached, and the next one goes on. Pictures that are done move to ``done``. A run that was
killed in between loses nothing: for a day the same request is answered with the first purchase, and is not paid again.
"""

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

from seedance_mcp import AwaitingApproval, Studio
from seedance_mcp.errors import OutcomeUnknown, Refused, SeedanceError

PROMPT = "The scene comes to life with small natural movement, the camera drifts slowly to the right"
UNTIL_LATER = {"per_hour", "per_day", "per_week", "per_month", "payments_per_hour", "payments_per_day", "balance"}
"""Refusals that time, or the operator, makes good: no other picture would fare better now."""


async def work_off(studio: Studio, inbox: Path) -> int:
    """How many pictures could not be done and will not be by trying again."""
    hopeless = 0
    async with studio:
        for picture in _waiting(inbox):
            try:
                clip = await studio.generate(
                    prompt=PROMPT, image=picture, model="seedance-fast", duration=4, resolution="480p"
                )
            except AwaitingApproval as waiting:
                print(f"{picture.name}: {waiting}")
            except (Refused, OutcomeUnknown) as problem:
                print(f"{picture.name}: {problem}")
                if isinstance(problem, OutcomeUnknown) or problem.code in UNTIL_LATER:
                    break
                hopeless += 1
            except SeedanceError as problem:
                print(f"{picture.name}: {problem}")
                hopeless += 1
            else:
                print(f"{picture.name}: ${clip.charged.usd} {clip.path}")
                picture.rename(inbox / "done" / picture.name)
    return hopeless


def _waiting(inbox: Path) -> list[Path]:
    (inbox / "done").mkdir(exist_ok=True)
    return sorted(inbox.glob("*.jpg"))


async def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make a clip of each picture in a folder.")
    parser.add_argument("inbox", type=Path)
    parser.add_argument("--sandbox", action="store_true")
    given = parser.parse_args(arguments)
    opening = Studio.sandbox if given.sandbox else Studio.from_env
    return 1 if await work_off(opening(image_roots=[given.inbox]), given.inbox.resolve()) else 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
