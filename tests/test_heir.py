from typing import TYPE_CHECKING

import anyio
import pytest

from seedance_mcp import heir
from seedance_mcp.heir import Heir

if TYPE_CHECKING:
    import subprocess


async def test_two_first_purchases_at_once_have_one_heir(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    start = heir._start

    def noted(key: str | None) -> "subprocess.Popen[bytes]":
        started.append(start(key))
        return started[-1]

    monkeypatch.setattr(heir, "_start", noted)
    one = Heir(None)
    async with anyio.create_task_group() as group:
        group.start_soon(one.appoint)
        group.start_soon(one.appoint)
    one.dismiss()
    assert [process.returncode for process in started] == [0]


async def test_an_heir_that_was_killed_is_dismissed_all_the_same() -> None:
    one = Heir(None)
    await one.appoint()
    process = one._process
    assert process is not None
    process.kill()
    process.wait()
    one.dismiss()
    assert one._process is None
