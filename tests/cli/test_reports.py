"""What operators read, from the commands as processes on a ledger with history."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from jsonschema import Draft202012Validator
from PIL import Image

from seedance_mcp.ledger.sqlite import SQLite
from seedance_mcp.ledger.states import DAY, State
from seedance_mcp.payment.tokens import BASE_USDC
from seedance_mcp.sandbox import Sandbox, serve
from seedance_mcp.timing import now
from tests.cli.shell import ADDRESS, KEY, Shell
from tests.guard.examples import OTHER, PAY_TO
from tests.ledger.examples import Desk, intent
from tests.report import schemas
from tests.report.examples import BERLIN, alter, clip, outside

posix = pytest.mark.skipif(os.name != "posix", reason="time zones and terminals of POSIX")


class Home(Shell):
    """A home in Berlin."""

    def environment(self, **settings: str) -> dict[str, str]:
        fonts = {"MPLCONFIGDIR": os.environ["MPLCONFIGDIR"]} if "MPLCONFIGDIR" in os.environ else {}
        return Shell.environment(self, **settings) | {"TZ": BERLIN} | fonts


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """With clips of November 2023 in the ledger. It is only read."""
    home = Home(tmp_path_factory.mktemp("home"))
    anyio.run(write_history, home.ledger)
    return home


@pytest.fixture
def empty(tmp_path: Path) -> Home:
    return Home(tmp_path)


async def write_history(ledger: Path) -> None:
    """On the 14th, at a quarter past eleven in the evening in Berlin, and on the two days after."""
    database = await SQLite.open(ledger, "real")
    desk = Desk(database)
    await desk.at(State.SETTLED, intent("picture", model="upload", amount=10_000))
    await clip(desk, "one")
    desk.now += DAY // 24
    await clip(desk, "two", state=State.CLAIMED, fee=1_500, rail="mpp")
    await desk.at(State.EXPIRED, intent("never paid"))
    desk.now += DAY
    await clip(desk, "three", seconds=12, saved=False, agent="trailer", model="seedance-fast")
    await desk.at(State.UNKNOWN, intent("four \x1b[31m\u202e", fee=1_500, rail="mpp"))
    given_up = await desk.at(State.UNKNOWN, intent("five"))
    await alter(desk, given_up, state="written_off")
    await outside(desk, 2_000_000)
    await database.close()


def told(shell: Shell, schema: dict[str, Any], *arguments: str, typed: str = "", **settings: str) -> Any:
    """What a command prints with ``--json``, which is all that it prints."""
    ran = shell.run(*arguments, "--json", typed=typed, **settings)
    assert ran.code == 0, ran.err
    assert ran.out.isascii()
    value = json.loads(ran.out)
    Draft202012Validator(schema).validate(value)
    return value


def test_spending_is_shown_under_the_operator_s_days(shell: Home) -> None:
    assert shell.run("spend").out == (
        "day         payments  settled  claimed    held  written off  outside  fees   total  per second\n"
        "----------------------------------------------------------------------------------------------\n"
        "2023-11-14         2     0.37     0.00    0.00         0.00     0.00  0.00    0.37       0.074\n"
        "2023-11-15         1     0.00   0.3615    0.00         0.00     0.00  0.00  0.3615      0.0723\n"
        "2023-11-16         3     0.36     0.00  0.3615         0.36     2.00  0.00  3.0815           -\n"
        "sum                6     0.73   0.3615  0.3615         0.36     2.00  0.00   3.813      0.1092\n"
    )


def test_spending_is_shown_by_model_from_a_day_on(shell: Home) -> None:
    assert shell.run("spend", "--by", "model", "--since", "2023-11-15").out == (
        "model          payments  settled  claimed    held  written off  outside  fees  total  per second\n"
        "------------------------------------------------------------------------------------------------\n"
        "outside               0     0.00     0.00    0.00         0.00     2.00  0.00   2.00           -\n"
        "seedance              3     0.00   0.3615  0.3615         0.36     0.00  0.00  1.083      0.0723\n"
        "seedance-fast         1     0.36     0.00    0.00         0.00     0.00  0.00   0.36           -\n"
        "sum                   4     0.36   0.3615  0.3615         0.36     2.00  0.00  3.443      0.1443\n"
    )


@pytest.mark.parametrize("by", ["day", "model", "agent", "rail"])
def test_spending_is_told_to_programs(shell: Home, by: str) -> None:
    value = told(shell, schemas.spend(by), "spend", "--by", by)
    assert value["time_zone"] == "CET/CEST"
    assert value["sum"]["total_usd"] == "3.813"
    assert value["sum"]["finished_seconds"] == 10
    assert value["sum"]["usd_per_finished_second"] == "0.1092"


def test_spending_is_told_to_spreadsheets(shell: Home) -> None:
    assert shell.run("spend", "--by", "agent", "--csv").out == (
        "agent,payments,settled_usd,claimed_usd,held_usd,written_off_usd,outside_usd,fees_usd,total_usd,refunded_usd,"
        "finished_seconds,usd_per_finished_second\n"
        "outside,0,0.00,0.00,0.00,0.00,2.00,0.00,2.00,0.00,0,\n"
        "storyboard,5,0.37,0.3615,0.3615,0.36,0.00,0.00,1.453,0.00,10,0.0732\n"
        "trailer,1,0.36,0.00,0.00,0.00,0.00,0.00,0.36,0.00,0,\n"
    )


def test_nothing_spent_and_nothing_bought_is_said(empty: Home) -> None:
    assert empty.run("spend").out == "Nothing has been spent.\n"
    assert empty.run("jobs").out == "No clip has been bought.\n"
    assert told(empty, schemas.spend("day"), "spend")["rows"] == []
    assert told(empty, schemas.JOBS, "jobs") == []
    ran = empty.run("spend", "--plot", "spend.png")
    assert (ran.code, ran.out) == (1, "")
    assert ran.complaint == "nothing has been spent in that time, so there is nothing to draw."


def test_wrong_usage_of_the_reports_is_exit_code_2(empty: Home) -> None:
    wrong = (
        ["spend", "--by", "colour"],
        ["spend", "--since", "yesterday"],
        ["spend", "--json", "--csv"],
        ["spend", "--csv", "--plot", "spend.png"],
        ["spend", "--plot", "spend.doc"],
        ["jobs", "--last", "-1"],
    )
    for ran in empty.run_each(*wrong):
        assert (ran.code, ran.out) == (2, "")
        assert "Usage: " in ran.err
    assert not empty.data.exists()


def test_clips_are_listed_newest_first_with_what_became_of_them(shell: Home) -> None:
    head, rule, *rows = shell.run("jobs").out.splitlines()
    assert head.split() == ["bought", "status", "price", "agent", "model", "purchase", "clip"]
    assert set(rule) == {"-"}
    columns = [row.split() for row in rows]
    assert [(row[0], row[1], row[2], row[3], row[4]) for row in columns] == [
        ("2023-11-16", "00:13", "failed", "0.36", "storyboard"),
        ("2023-11-16", "00:13", "payment_unknown", "0.36", "storyboard"),
        ("2023-11-16", "00:13", "pending", "0.36", "trailer"),
        ("2023-11-15", "00:13", "complete", "0.36", "storyboard"),
        ("2023-11-14", "23:13", "complete", "0.36", "storyboard"),
    ]
    assert [row[-1] for row in columns[3:]] == ["/clips/two.mp4", "/clips/one.mp4"]
    assert len(shell.run("jobs", "--last", "0").out.splitlines()) == 2 + 3


def test_clips_are_told_to_programs_and_a_prompt_steers_no_terminal(shell: Home) -> None:
    clips = told(shell, schemas.JOBS, "jobs")
    assert {clip["prompt"]: clip["payment"] for clip in clips} == {
        "one": "settled",
        "two": "claimed",
        "three": "settled",
        "four \x1b[31m\u202e": "unknown",
        "five": "written_off",
    }
    assert {clip["bought_at"] for clip in clips if clip["prompt"] == "one"} == {"2023-11-14T22:13:20Z"}


@posix
def test_colours_are_shown_on_a_terminal_only(shell: Home) -> None:
    import pty  # noqa: PLC0415 - POSIX has it

    terminal, follower = pty.openpty()
    command = [sys.executable, "-m", "seedance_mcp", "jobs"]
    subprocess.run(command, cwd=shell.home, env=shell.environment(), stdout=follower, timeout=60, check=True)
    os.close(follower)
    shown = os.read(terminal, 100_000).decode()
    os.close(terminal)
    assert "\x1b[32mcomplete" in shown
    assert "\x1b" not in shell.run("jobs").out


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """With clips of the last days, and the fonts of the plots found once."""
    pytest.importorskip("matplotlib")
    home = Home(tmp_path_factory.mktemp("fresh"))

    async def write() -> None:
        database = await SQLite.open(home.ledger, "real")
        desk = Desk(database, now() - 2 * DAY)
        for number in range(3):
            await clip(desk, str(number), amount=2_000_000 + number)
            desk.now += DAY
        await database.close()

    anyio.run(write)
    return home


def test_spending_is_drawn(fresh: Home) -> None:
    (fresh.home / "policy.toml").write_text(
        'version = 1\n[caps]\nper_payment = "2.50"\nper_hour = "5"\nper_day = "10"\nper_week = "20"\n'
    )
    (fresh.home / "policy.toml").chmod(0o600)
    ran = fresh.run("spend", "--plot", "spend.png", POLICY=str(fresh.home / "policy.toml"))
    assert (ran.code, ran.out) == (0, "spend.png\n"), ran.err
    with Image.open(fresh.home / "spend.png") as picture:
        assert picture.size == (1500, 1125), "days above, and below them the week's cap"
    ran = fresh.run("spend", "--plot", "nowhere/spend.png", POLICY=str(fresh.home / "policy.toml"))
    assert (ran.code, ran.out) == (1, "")
    assert ran.complaint == "the plot nowhere/spend.png cannot be written: No such file or directory."


@pytest.mark.parametrize(("arguments", "code"), [(["spend", "--plot", "spend.png"], 1), (["spend"], 0)])
def test_only_a_plot_needs_the_extra(shell: Home, arguments: list[str], code: int) -> None:
    program = "import sys; sys.modules['matplotlib'] = None; from seedance_mcp.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", program, *arguments]
    ran = subprocess.run(
        command, cwd=shell.home, env=shell.environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == code
    complaint = (
        "a plot needs matplotlib, which is not installed. "
        "Install it with the extra `plot`, in a checkout with `uv tool install --reinstall '.[plot]'`."
    )
    assert ran.stderr == (f"seedance-mcp: {complaint}\n" if code else "")


def test_what_the_operator_changed_is_told_to_programs(empty: Home) -> None:
    assert told(empty, schemas.FREEZE, "freeze", "--why", "a leak")["why"] == "a leak"
    assert told(empty, schemas.UNFREEZE, "unfreeze", typed="y\n")["was_frozen"]
    assert not told(empty, schemas.UNFREEZE, "unfreeze", typed="y\n")["was_frozen"]
    assert told(empty, schemas.TRUST, "trust", PAY_TO, typed="y\n")["before"] is None
    assert told(empty, schemas.TRUST, "trust", OTHER, typed="y\n")["before"] == PAY_TO
    assert told(empty, schemas.GENERATION, "trust", "--generation", "2", typed="y\n") == {"generation": 2}


async def test_a_sound_audit_chain_and_a_changed_one_are_told_to_programs(empty: Home) -> None:
    database = await SQLite.open(empty.ledger, "real")
    await Desk(database).at(State.SETTLED)
    assert told(empty, schemas.AUDIT, "audit", "verify") == {"intact": True, "rows": 4, "problems": []}
    await database.write(lambda tx: tx.do("UPDATE payments SET state = 'expired'"))
    await database.close()
    ran = empty.run("audit", "verify", "--json")
    assert ran.code == 1
    value = json.loads(ran.out)
    Draft202012Validator(schemas.AUDIT).validate(value)
    assert (value["intact"], value["rows"]) == (False, None)
    assert value["problems"]


async def test_open_payments_are_looked_up_and_told(empty: Home) -> None:
    database = await SQLite.open(empty.ledger, "real")
    desk = Desk(database)
    payment = await desk.at(State.UNKNOWN, intent(token=BASE_USDC.address, payer=ADDRESS))
    await database.close()
    async with serve(Sandbox()) as origin:
        rpc = f"{origin}/rpc"
        settings = {"PRIVATE_KEY": KEY, "STUDIO_URL": origin, "BASE_RPC_URL": rpc, "TEMPO_RPC_URL": rpc}
        (looked,) = told(empty, schemas.RECONCILED, "reconcile", **settings)
        assert looked["purchase_id"] == payment.purchase
        assert (looked["amount_usd"], looked["state_before"]) == ("0.36", "unknown")
        ran = empty.run("reconcile", **settings)
        assert ran.out.startswith((f"{payment.purchase}: $0.36 for seedance is ", "No payment is open.\n"))


async def test_the_wallet_is_told_to_programs(empty: Home) -> None:
    (empty.home / "password").write_text("correct horse battery staple\n")
    made = told(empty, schemas.WALLET_NEW, "wallet", "new", KEYSTORE_PASSWORD_FILE=str(empty.home / "password"))
    assert told(empty, schemas.WALLET_ADDRESS, "wallet", "address") == {"address": made["address"]}
    sandbox = Sandbox()
    async with serve(sandbox) as origin:
        sandbox.fund(ADDRESS, 12_345_600)
        settings = {"PRIVATE_KEY": KEY, "BASE_RPC_URL": f"{origin}/rpc", "TEMPO_RPC_URL": f"{origin}/rpc"}
        balances = told(empty, schemas.WALLET_BALANCE, "wallet", "balance", **settings)
    assert balances["x402"] == {
        "address": ADDRESS,
        "network": "eip155:8453",
        "token": "USDC",
        "balance_usd": "12.3456",
        "error": None,
    }
