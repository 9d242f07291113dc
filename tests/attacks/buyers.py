"""Processes that all ask for one clip, several times at once: ``python -m tests.attacks.buyers 16 50 IMAGE``.

They are forks of one that has imported everything, and begin together once each has opened the ledger. Everything else
is in the settings of the environment. A line tells of each call: purchase and charge, or the code of its error.
"""

import multiprocessing
import os
import sys
from multiprocessing.synchronize import Barrier

import anyio

from seedance_mcp.app import open_app
from seedance_mcp.clip_order import ClipOrder
from seedance_mcp.errors import SeedanceError
from seedance_mcp.settings import Settings


async def buy(times: int, image: str, start: Barrier) -> None:
    async with open_app(Settings.from_env()) as app:
        await anyio.to_thread.run_sync(start.wait)

        async def ask() -> None:
            try:
                bought = await app.clips.generate(ClipOrder(prompt="waves", image=image))
            except SeedanceError as error:
                tell(error.code)
            else:
                tell(f"{bought.purchase.id} {bought.charged}")

        async with anyio.create_task_group() as group:
            for _ in range(times):
                group.start_soon(ask)


def tell(line: str) -> None:
    os.write(sys.stdout.fileno(), f"{line}\n".encode())  # at once, and in one piece


def main(processes: int, calls: int, image: str) -> None:
    fork = multiprocessing.get_context("fork")
    start = fork.Barrier(processes)
    shares = [len(range(calls)[number::processes]) for number in range(processes)]
    buyers = [fork.Process(target=anyio.run, args=(buy, share, image, start)) for share in shares]
    for buyer in buyers:
        buyer.start()
    for buyer in buyers:
        buyer.join()
    sys.exit(max(buyer.exitcode or 0 for buyer in buyers))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
