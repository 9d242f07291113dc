"""``seedance-mcp buy`` as a shell or cron runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from jsonschema import Draft202012Validator
from PIL import Image

from seedance_mcp.mp4 import is_mp4
from tests.cli.shell import Shell
from tests.e2e.home import Home
from tests.e2e.shop import Shop
from tests.report import schemas

DRAFT = ("--model", "seedance-fast", "--duration", "4", "--resolution", "480p")
CLIP = 412_500


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    Image.new("RGB", (640, 360), (30, 90, 160)).save(tmp_path / "lake.png")
    return Shell(tmp_path)


def test_a_sandbox_that_ends_with_its_command_cannot_go_on_in_the_background(shell: Shell) -> None:
    ran = shell.run("buy", "--sandbox", "--no-wait", "--prompt", "waves", "--image", "lake.png", *DRAFT)
    assert (ran.code, "--no-wait has no effect with --sandbox" in ran.err) == (2, True)


def test_the_path_of_the_clip_is_printed_last(shell: Shell) -> None:
    ran = shell.run("buy", "--sandbox", "--prompt", "waves", "--image", "lake.png", *DRAFT, OUTPUT_DIR="clips")
    assert (ran.code, ran.err) == (0, ""), "progress is for terminals only"
    *told, path = ran.out.splitlines()
    assert told[0].startswith("$0.05 was charged over ")
    assert is_mp4(Path(path)) is None
    assert Path(path).parent == shell.home / "clips"


@pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo-terminals")
def test_progress_is_told_on_a_terminal_and_json_stays_one_document(shell: Shell) -> None:
    import pty  # noqa: PLC0415 - not on every system

    terminal, end = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "seedance_mcp", "buy", "--sandbox", "--json", "--prompt", "waves",
         "--image", "lake.png", "--max-cost", "0.05", *DRAFT],
        cwd=shell.home, env=shell.environment(OUTPUT_DIR=str(shell.home / "clips")),
        stdout=subprocess.PIPE, stderr=end, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    os.close(end)
    told = os.read(terminal, 100_000).decode()
    os.close(terminal)
    document = json.loads(done.stdout)
    assert done.returncode == 0
    assert "100 %" in told
    Draft202012Validator(schemas.BOUGHT).validate(document)
    assert (document["status"], document["charged_usd"], document["duplicate"]) == ("complete", "0.05", False)
    assert is_mp4(Path(document["video_path"])) is None


def test_a_refusal_is_exit_code_1_in_words_and_in_json(shell: Shell) -> None:
    asked = ("buy", "--sandbox", "--prompt", "waves", "--image", "lake.png", "--max-cost", "0.10")
    words, document = shell.run_each(asked, (*asked, "--json"))
    assert (words.code, words.out, document.code) == (1, "", 1)
    assert words.complaint.endswith(
        "$0.4125 with $0.01 for uploads is above the call's max_price_usd of $0.10. "
        "Raise max_price_usd, or ask for a shorter or smaller clip."
    )
    error = json.loads(document.out)["error"]
    assert (error["code"], error["money"], error["charged_usd"]) == ("max_price", "nothing", "0.00")


def test_a_limit_of_the_command_cannot_raise_the_policys(shell: Shell) -> None:
    policy = shell.home / "policy.toml"
    policy.write_text('version = 1\n[caps]\nper_payment = "0.40"\nper_hour = "1.00"\nper_day = "1.00"\n')
    policy.chmod(0o600)
    ran = shell.run(
        "buy", "--sandbox", "--prompt", "waves", "--image", "lake.png", "--max-cost", "100", POLICY=str(policy)
    )
    assert ran.code == 1
    assert "$0.4125 is above the limit of $0.40 per payment" in ran.complaint


def test_wrong_usage_is_exit_code_2(shell: Shell) -> None:
    asked = ("buy", "--prompt", "waves", "--image", "lake.png")
    wrong = (
        ("buy", "--image", "lake.png"),
        ("buy", "--prompt", "waves", "--image", "sea.png"),
        (*asked, "--max-cost", "a lot"),
        (*asked, "--model", "seedance-pro"),
        (*asked, "--duration", "0"),
    )
    for ran in shell.run_each(*wrong):
        assert (ran.code, ran.out) == (2, "")
        assert "Usage: " in ran.err
    assert not shell.data.exists()


def test_wrong_settings_are_exit_code_2(shell: Shell) -> None:
    ran = shell.run("buy", "--prompt", "waves", "--image", "lake.png", STUDIO_URL="http://studio.example")
    assert (ran.code, ran.out) == (2, "")
    assert "SEEDANCE_STUDIO_URL is plain http" in ran.complaint


def test_without_a_wallet_the_way_to_one_is_told(shell: Shell) -> None:
    ran = shell.run("buy", "--prompt", "waves", "--image", "lake.png")
    assert (ran.code, ran.out) == (1, "")
    assert "this server has no wallet" in ran.complaint
    assert "Ask the operator to run `seedance-mcp " in ran.complaint


async def test_what_waits_for_approval_goes_through_afterwards_and_is_paid_once(shop: Shop, tmp_path: Path) -> None:
    home = shop.home(tmp_path / "home")
    home.write_policy(above="0.40")
    command = ("buy", "--prompt", "waves", "--image", str(home.picture()))
    waiting = json.loads(await ran(home, *command, "--json", code=1))["error"]
    assert (waiting["code"], waiting["charged_usd"], shop.credentials) == ("awaiting_approval", "0.00", [])
    home.run("approve", waiting["purchase_id"], answer="y\n")
    bought = json.loads(await ran(home, *command, "--json"))
    assert (bought["purchase_id"], bought["charged_usd"]) == (waiting["purchase_id"], "0.4225")
    first, *_, path = (await ran(home, *command)).splitlines()
    assert first.startswith("$0.4125 was charged before over ")
    assert path == bought["video_path"]
    assert shop.taken == 10_000 + CLIP


async def ran(home: Home, *command: str, code: int = 0) -> str:
    """The standard output of a command, while the seller in this process answers it."""
    done = await anyio.run_process(
        [sys.executable, "-m", "seedance_mcp", *command], env=home.env, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == code, done.stderr.decode()
    return done.stdout.decode()
