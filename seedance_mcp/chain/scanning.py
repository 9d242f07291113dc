"""Many blocks, asked about in pieces: every host bounds what one question may span, and each at another number."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from seedance_mcp.errors import ChainError

WIDEST, NARROWEST = 10_000, 500
"""Blocks that one question of a scan spans: as many as a host takes."""

T = TypeVar("T")


async def scan(read: Callable[[int, int], Awaitable[T]], first: int, last: int) -> AsyncIterator[tuple[int, T]]:
    """What ``read`` answers for all blocks from ``first`` to ``last``, each time with the last block that it covers.

    A piece that is refused is asked for again, half as wide. Raises ChainError once the narrowest one is.
    """
    width = WIDEST
    while first <= last:
        end = min(first + width - 1, last)
        try:
            answer = await read(first, end)
        except ChainError:
            length = end - first + 1
            if length <= NARROWEST:
                raise
            width = length // 2
            continue
        yield end, answer
        first = end + 1
