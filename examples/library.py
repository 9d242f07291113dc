"""The library on one page: ask for the price, buy a clip, and what can happen instead.

python examples/library.py picture.jpg --sandbox      # no wallet, no money
python examples/library.py picture.jpg                # the wallet and policy of SEEDANCE_*
"""

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

from seedance_mcp import AwaitingApproval, Clip, ClipFailed, Studio
from seedance_mcp.errors import OutcomeUnknown, Refused


async def animate(studio: Studio, picture: Path) -> Clip | None:
    async with studio:
        estimate = await studio.estimate(model="seedance-fast", duration=4, resolution="480p")
        print(f"${estimate.price.usd}, {estimate.verdict}; ${estimate.budget.left.usd} may be spent")
        try:
            return await studio.generate(
                prompt="Slow push-in, leaves moving in a light wind",
                image=picture,
                model="seedance-fast",
                duration=4,
                resolution="480p",
                max_price_usd="0.10",  # over the upload and the clip; it can only lower the operator's limits
            )
        except AwaitingApproval as waiting:
            print(f"The operator is asked first: {waiting}")
        except Refused as refusal:
            print(f"The policy says no ({refusal.code}): {refusal}")
        except OutcomeUnknown as unknown:
            print(f"Run this again, which never pays twice: {unknown}")
        except ClipFailed as failure:
            print(f"Paid, and there is no clip: {failure}")
    return None


async def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Animate a picture.")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--sandbox", action="store_true")
    given = parser.parse_args(arguments)
    opening = Studio.sandbox if given.sandbox else Studio.from_env
    clip = await animate(opening(image_roots=[given.picture.parent]), given.picture.resolve())
    if clip is None:
        return 1
    print(clip.path)
    return 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
