"""Questions to a network, side by side, none of which is waited for too long."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import anyio

from seedance_mcp.errors import ChainError

SECONDS = 8

K = TypeVar("K")
T = TypeVar("T")


async def ask_each(questions: Mapping[K, Callable[[], Awaitable[T]]]) -> dict[K, T | ChainError]:
    """Every answer, or why there is none."""
    found: dict[K, T | ChainError] = dict.fromkeys(questions, ChainError("no answer came in time"))

    async def ask(name: K, question: Callable[[], Awaitable[T]]) -> None:
        with anyio.move_on_after(SECONDS):
            try:
                found[name] = await question()
            except ChainError as error:
                found[name] = error

    async with anyio.create_task_group() as tasks:
        for name, question in questions.items():
            tasks.start_soon(ask, name, question)
    return found
