"""What a server leaves behind when its client kills it: a paid clip is saved all the same."""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from tests.e2e.home import Home
from tests.e2e.raw import RawServer
from tests.e2e.shop import Shop
from tests.e2e.test_restart import CLIP, appears, buy_and_die

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")


@pytest.fixture
def home(shop: Shop, tmp_path: Path) -> Iterator[Home]:
    home = shop.home(tmp_path / "home")
    yield home
    # An heir ends by itself when its ledger is gone.
    shutil.rmtree(home.ledger.parent, ignore_errors=True)


def heirs(home: Home) -> list[int]:
    """The processes that wait for the end of a server in ``home``, or took over from one."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            command, environment = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except (OSError, ValueError):
            continue
        waits = b"--after-server" in command
        if process.name.isdigit() and waits and f"SEEDANCE_LEDGER=sqlite:{home.ledger}".encode() in environment:
            found.append(int(process.name))
    return found


def known_of(process: int) -> bytes:
    """What other programs of the same user can read of it."""
    return b"".join(Path(f"/proc/{process}/{name}").read_bytes() for name in ("cmdline", "environ"))


async def are_gone(home: Home) -> None:
    with anyio.fail_after(60):
        while heirs(home):  # noqa: ASYNC110 - a process that is nobody's child here has no event to wait for
            await anyio.sleep(0.05)


async def test_a_clip_is_saved_though_its_server_was_killed_and_no_other_started(shop: Shop, home: Home) -> None:
    shop.rendering.clear()
    buy_and_die(home, shop.picture())
    assert len(heirs(home)) == 1
    shop.rendering.set()
    with anyio.fail_after(60):
        await appears(home)
    await are_gone(home)
    assert [payment["amount"] for payment in home.payments()] == [CLIP]
    assert len(shop.credentials) == 1


async def test_a_server_that_saved_its_clips_leaves_nobody_behind(shop: Shop, home: Home) -> None:
    with RawServer(home) as server:
        bought = server.call("generate_video", prompt="waves", image=shop.picture())["structuredContent"]
        assert len(heirs(home)) == 1
        server.call("check_job", job_id=bought["job_id"], wait_seconds=50)
        assert server.close() == 0
    assert heirs(home) == []


async def test_nobody_waits_for_a_server_that_bought_no_clip(shop: Shop, home: Home) -> None:
    with RawServer(home) as server:
        server.call("estimate_cost", model="seedance", duration=5, resolution="720p")
        server.call("upload_image", path=str(home.picture()))
        assert heirs(home) == []


async def test_an_heir_that_is_killed_too_leaves_the_clip_to_the_next_server(shop: Shop, home: Home) -> None:
    shop.rendering.clear()
    job = buy_and_die(home, shop.picture())
    for process in heirs(home):
        os.kill(process, signal.SIGKILL)
    await are_gone(home)
    shop.rendering.set()
    async with home.server() as agent:
        assert (await agent.clip(job)).is_file()


async def test_an_heir_ends_when_the_ledger_is_gone(shop: Shop, home: Home) -> None:
    shop.rendering.clear()
    buy_and_die(home, shop.picture())
    shutil.rmtree(home.ledger.parent)
    await are_gone(home)


async def test_the_key_is_nowhere_in_the_heirs_command_or_environment(shop: Shop, home: Home) -> None:
    shop.rendering.clear()
    with RawServer(home) as server:
        server.call("generate_video", prompt="waves", image=shop.picture())
        (heir,) = heirs(home)
        seen = known_of(heir)
        assert home.settings["PRIVATE_KEY"].removeprefix("0x").encode() not in seen
    shop.rendering.set()
