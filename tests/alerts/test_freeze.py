"""The command that freezes: its reason is anybody's text, and nothing about alerts stands in its way."""

import json
import os
from pathlib import Path

import pytest

from tests.cli.shell import Shell


@pytest.mark.skipif(os.name != "posix", reason="an argument is bytes")
def test_a_reason_of_any_bytes_freezes_and_is_shown_without_what_nobody_sees(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    ran = shell.run("freeze", "--why", f"a \udcff\x1b[31mleak\n{'!' * 300}", "--json")
    assert ran.code == 0, ran.err
    why = json.loads(ran.out)["why"]
    assert why.startswith("a [31mleak !!!")
    assert len(why) == 200
    again = shell.run("freeze")
    assert (again.code, again.out, again.err) == (0, f"Frozen already ({why}).\n", "")


def test_a_webhook_without_a_secret_is_a_word_of_warning_and_freezes_all_the_same(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    ran = shell.run("freeze", ALERT_URL="https://hooks.example/token")
    assert (ran.code, ran.out[:8]) == (0, "Frozen: ")
    assert "SEEDANCE_ALERT_URL is set without SEEDANCE_ALERT_SECRET_FILE" in ran.err
    assert "token" not in ran.err
    assert json.loads(shell.run("freeze", "--json").out) == {"frozen": True, "why": "by the operator"}
