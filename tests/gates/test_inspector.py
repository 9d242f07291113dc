"""The MCP Inspector: strict about the tools' schemas, in both eras of the protocol, over both transports."""

import json
from typing import Any

import pytest

from tests.e2e.home import Home
from tests.gates.judges import SANDBOX, inspector

CLIP = {"model": "seedance", "duration": 5, "resolution": "720p"}
PATIENT = ["--connect-timeout", "60000"]


@pytest.fixture(params=["legacy", "modern"])
def era(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


def answer(home: Home, *arguments: str) -> Any:
    """What the server answered. A remark of the inspector, such as one on a schema, goes to stderr."""
    verdict = inspector(home, *arguments, *PATIENT)
    assert (verdict.code, verdict.err) == (0, ""), verdict.told
    return json.loads(verdict.out)


def test_the_inspector_finds_nothing_in_the_tools_over_stdio(home: Home, era: str) -> None:
    listed = answer(home, *SANDBOX, "--protocol-era", era, "--method", "tools/list", "--strict")
    assert len(listed["tools"]) == 4


def test_the_inspector_finds_nothing_in_the_tools_over_http(home: Home, address: str, era: str) -> None:
    listed = answer(home, "--server-url", address, "--protocol-era", era, "--method", "tools/list", "--strict")
    assert len(listed["tools"]) == 4


def test_the_inspector_calls_a_tool_over_http(home: Home, address: str, era: str) -> None:
    asked = ["--method", "tools/call", "--tool-name", "estimate_cost", "--tool-args-json", json.dumps(CLIP)]
    quote = answer(home, "--server-url", address, "--protocol-era", era, *asked)
    assert quote["structuredContent"]["price_usd"] == "0.4125"
