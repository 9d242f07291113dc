"""``serve --http``: the same tools over streamable HTTP, on this machine only."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mcp import Client

from tests.e2e.home import COMMAND, Home, make_home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home")


@contextmanager
def serving(home: Home, *options: str) -> Iterator[str]:
    """The address that the server says it listens on."""
    command = [*COMMAND, "serve", "--http", "127.0.0.1:0", *options]
    with subprocess.Popen(command, env=home.env, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            told = re.fullmatch(r"MCP at (http://127\.0\.0\.1:[0-9]+/mcp)\n", server.stderr.readline())
            assert told is not None
            yield told[1]
        finally:
            server.terminate()
            server.communicate()


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_tools_answer_over_http_in_both_eras(home: Home, mode: str) -> None:
    with serving(home, "--sandbox") as url:
        async with Client(url, mode=mode) as client:
            assert len((await client.list_tools()).tools) == 4
            asked = {"model": "seedance", "duration": 5, "resolution": "720p"}
            answer = await client.call_tool("estimate_cost", asked)
    assert answer.structured_content is not None
    assert (answer.structured_content["price_usd"], answer.structured_content["verdict"]) == ("0.4125", "allowed")


@pytest.mark.parametrize("address", ["0.0.0.0:8000", "192.0.2.1:8000", "example.com:80", "8000", "127.0.0.1:x"])
def test_an_address_that_others_can_reach_is_refused(home: Home, address: str) -> None:
    ran = subprocess.run(
        [*COMMAND, "serve", "--http", address], env=home.env, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "--http" in ran.stderr
