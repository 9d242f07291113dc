"""``skills/seedance``: what an agent is taught is what the server does."""

import re
from pathlib import Path
from typing import get_args

import pytest

from seedance_mcp.standing import Status

ROOT = Path(__file__).parent.parent
SKILL = (ROOT / "skills" / "seedance" / "SKILL.md").read_text()
ROOMS = (
    *("guard/decision.py", "errors.py", "orders.py", "clips.py", "ledger/approvals.py", "arguments.py", "uploads.py"),
    *("fetching.py", "studio/answers.py", "studio/blobs.py", "studio/client.py", "studio/dialects.py"),
    "studio/models.py",
)
_CODE = re.compile(r'(?:code="|_refuse\(\s*"|_ask\(\s*"|^    code = "|Outcome\.REFUSE,\s*")([a-z_]+)"', re.MULTILINE)
WINDOWS = {"per_hour", "per_day", "per_week", "per_month", "total", "payments_per_hour", "payments_per_day"}
"""Put together from the names of the policy's caps."""
OF_THE_BASE = {"failed", "refused"}
"""Codes of classes whose instances always name another one."""
OF_CLIPS = {"not_a_video"}
"""Why a finished clip is not saved yet, which is told in a sentence."""


def codes_of(source: str) -> set[str]:
    return set(_CODE.findall(source))


def taught() -> set[str]:
    """The codes in the first column of the table of errors."""
    _, _, table = SKILL.partition("## What an error means")
    cells = re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
    return {code for cell in cells for code in re.findall(r"`([a-z_]+)`", cell)}


def test_every_code_that_an_agent_can_meet_is_explained() -> None:
    raised = set().union(*(codes_of((ROOT / "seedance_mcp" / room).read_text()) for room in ROOMS))
    assert (raised | WINDOWS) - OF_THE_BASE - OF_CLIPS - taught() == set()


def test_no_code_is_explained_that_does_not_exist() -> None:
    everywhere = "\n".join(path.read_text() for path in (ROOT / "seedance_mcp").rglob("*.py"))
    assert {code for code in taught() - WINDOWS if f'"{code}"' not in everywhere} == set()


@pytest.mark.parametrize("status", get_args(Status))
def test_every_status_is_explained(status: str) -> None:
    table, _, _ = SKILL.partition("## What an error means")
    assert f"`{status}`" in table


def test_its_front_matter_is_what_clients_read() -> None:
    matter = re.match(r"---\nname: (.+)\ndescription: (.+)\n---\n", SKILL)
    assert matter is not None
    assert matter[1] == "seedance"
    assert len(matter[2]) <= 1024


def test_the_tools_it_names_exist() -> None:
    source = (ROOT / "seedance_mcp" / "server.py").read_text()
    named = set(re.findall(r"`((?:estimate|upload|generate|check)_[a-z]+)`", SKILL))
    named -= taught()
    assert named == {"estimate_cost", "upload_image", "generate_video", "check_job"}
    assert all(f"async def {name}(" in source for name in named)
