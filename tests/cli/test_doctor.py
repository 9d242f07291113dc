"""``doctor`` as a process, with the embedded seller and its chains in the place of the real ones."""

import json
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from seedance_mcp.continuity import Mark, Marker
from seedance_mcp.ledger import audit, operator
from seedance_mcp.ledger.sqlite import SQLite
from seedance_mcp.ledger.states import DAY, State
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.sandbox import Sandbox, serve
from seedance_mcp.timing import now
from tests.cli.shell import ADDRESS, KEY, Ran, Shell
from tests.ledger.examples import Desk, intent
from tests.report.schemas import TEXT, YES_OR_NO, maybe, record, rows

SCHEMA = record(
    ready=YES_OR_NO,
    checks=rows(
        record(
            check=TEXT,
            status={"enum": ["ok", "warning", "failed"]},
            found=TEXT,
            todo=maybe(TEXT),
            facts={"type": "object"},
        )
    ),
)
Lines = dict[str, dict[str, Any]]


@pytest.fixture
def ready(shell: Shell) -> Shell:
    """With a wallet and a client."""
    Wallet.from_hex(KEY).to_keystore("secret", shell.data / "keystore.json")
    (shell.home / "password").touch(0o600)
    (shell.home / "password").write_text("secret\n")
    entry = {
        "command": "python3",
        "args": ["-m", "seedance_mcp"],
        "env": {"SEEDANCE_KEYSTORE_PASSWORD_FILE": str(shell.home / "password")},
    }
    (shell.home / ".mcp.json").write_text(json.dumps({"mcpServers": {"clips": entry}}))
    return shell


@asynccontextmanager
async def selling(
    clock: Callable[[], int] = lambda: int(time.time()), generation: int = 1, funds: int = 3_000_000
) -> AsyncIterator[dict[str, str]]:
    """The settings of a shell that buys from an embedded seller."""
    sandbox = Sandbox(generation=generation, clock=clock)
    sandbox.fund(ADDRESS, funds)
    async with serve(sandbox) as origin, serve(sandbox) as twin:
        yield {
            "STUDIO_URL": origin,
            "BASE_RPC_URL": f"{origin}/rpc,{twin}/rpc",
            "TEMPO_RPC_URL": f"{origin}/rpc/tempo,{twin}/rpc/tempo",
        }


async def write_history(shell: Shell) -> None:
    """Two clips of yesterday; the wallet has paid with this ledger last."""
    database = await SQLite.open(shell.ledger, "real")
    desk = Desk(database, now() - DAY)
    await desk.at(State.SETTLED, intent("one"))
    await desk.at(State.EXPIRED, intent("two"))
    count, head = await database.read(audit.head)
    Marker(shell.data / "keystore.json").write(Mark(await database.read(operator.ledger_id), count, head.hex()))
    await database.close()


def told(shell: Shell, *options: str, typed: str = "", **settings: str) -> tuple[Ran, Lines]:
    ran = shell.run("doctor", "--json", *options, typed=typed, **settings)
    assert ran.out.isascii()
    value = json.loads(ran.out)
    Draft202012Validator(SCHEMA).validate(value)
    assert (ran.code == 0) == value["ready"] == all(line["status"] != "failed" for line in value["checks"])
    return ran, {line["check"]: line for line in value["checks"]}


def as_seen(settings: dict[str, str], shell: Shell) -> dict[str, str]:
    """With the settings that the client has too."""
    return settings | {"KEYSTORE_PASSWORD_FILE": str(shell.home / "password")}


def test_with_nothing_set_up_each_line_says_what_to_do(shell: Shell) -> None:
    nowhere = dict.fromkeys(("STUDIO_URL", "BASE_RPC_URL", "TEMPO_RPC_URL"), "http://127.0.0.1:1")
    ran = shell.run("doctor", **nowhere)
    assert (ran.code, ran.err) == (1, "")
    lines = ran.out.splitlines()
    for number, line in enumerate(lines):
        if line.startswith(("warning", "failed")):
            assert lines[number + 1].lstrip().startswith("-> "), line
    assert lines[0].split() == ["failed", "key", "there", "is", "no", "wallet"]
    assert lines[-1] == "2 failures keep the server from buying; 4 warnings."
    assert "\x1b" not in ran.out
    assert not shell.data.exists(), "looking makes no ledger"


async def test_all_is_well_with_a_ledger_that_has_a_history(ready: Shell) -> None:
    await write_history(ready)
    async with selling() as settings:
        ran, lines = told(ready, **as_seen(settings, ready))
    assert (ran.code, ran.err) == (0, "")
    # The client's file names the default seller, and this shell another one.
    assert {line["status"] for name, line in lines.items() if name != "client claude-code"} == {"ok"}
    assert lines["client claude-code"]["found"].endswith("sets another SEEDANCE_STUDIO_URL than this shell")
    assert lines["ledger"]["found"].endswith("audit rows, all intact")
    assert lines["marker"]["found"].startswith("this is the ledger that this wallet paid with last")
    assert lines["balance x402"]["facts"]["clips"] == 7
    assert lines["rpc mpp"]["facts"] == {
        "rail": "mpp",
        "chain_id": 4217,
        "hosts": ["127.0.0.1", "127.0.0.1"],
        "answered": 2,
        "agree": True,
        "needed": 2,
    }
    assert lines["seller"]["facts"]["generation"] == 1


async def test_a_frozen_or_older_ledger_keeps_the_server_from_buying(ready: Shell) -> None:
    await write_history(ready)
    ready.run("freeze", "--why", "a leak")
    keystore = ready.data / "keystore.json"
    mark = Marker(keystore).read()
    assert mark is not None
    Marker(keystore).write(Mark(mark.ledger, mark.rows + 99, mark.head))
    async with selling() as settings:
        ran, lines = told(ready, **as_seen(settings, ready))
    assert ran.code == 1
    assert "all purchases are frozen (a leak)" in lines["budget"]["found"]
    assert lines["budget"]["todo"] == "The operator can run `seedance-mcp unfreeze`."
    assert lines["marker"]["status"] == "failed"


async def test_a_ledger_s_clock_is_set_back_once_that_is_confirmed(ready: Shell) -> None:
    await write_history(ready)
    database = await SQLite.open(ready.ledger, "real")
    await database.write(lambda tx: tx.do("UPDATE ledger SET clock = :ahead", ahead=now() + DAY))
    await database.close()
    async with selling() as seller:
        settings = as_seen(seller, ready)
        _, lines = told(ready, **settings)
        assert lines["ledger clock"]["todo"].endswith("run `seedance-mcp doctor --reset-clock`.")
        ran = ready.run("doctor", "--reset-clock", typed="n\n", **settings)
        assert (ran.code, ran.out) == (1, "")
        assert re.search(r"^Set the ledger's clock back by 86,[34][0-9]{2} s\? ", ran.err)
        ran, lines = told(ready, "--reset-clock", typed="y\n", **settings)
        assert ran.code == 0
        assert "ledger clock" not in lines
        ran, _ = told(ready, "--reset-clock", **settings)
        assert ran.err == "The ledger's clock is not ahead; nothing was set.\n"


async def test_a_wrong_clock_of_this_machine_is_told_and_sets_nothing(ready: Shell) -> None:
    database = await SQLite.open(ready.ledger, "real")
    await database.write(lambda tx: tx.do("UPDATE ledger SET clock = :ahead", ahead=now() + DAY))
    await database.close()
    async with selling(clock=lambda: int(time.time()) + 86_400, generation=2) as seller:
        settings = as_seen(seller, ready)
        _, lines = told(ready, **settings)
        assert lines["clock"]["status"] == "failed"
        assert "s behind the seller's" in lines["clock"]["found"]
        assert lines["seller"]["facts"]["generation"] == 2
        ran = ready.run("doctor", "--reset-clock", typed="y\n", **settings)
    assert (ran.code, ran.out) == (1, "")
    assert "behind the seller's. Set this machine's clock" in ran.complaint


async def test_a_host_of_another_chain_is_told(ready: Shell) -> None:
    async with selling(funds=0) as settings:
        settings["BASE_RPC_URL"] = settings["TEMPO_RPC_URL"].partition(",")[0]
        ran, lines = told(ready, **as_seen(settings, ready))
    assert ran.code == 0, "what is not known stops nothing"
    assert lines["rpc x402"]["found"] == "The RPC host 127.0.0.1 serves chain 4217, not 8453"
    assert lines["balance x402"]["found"] == "USDC on Base is not known"
    assert lines["balance mpp"]["status"] == "warning"


def test_wrong_settings_are_exit_code_2(shell: Shell) -> None:
    ran = shell.run("doctor", STUDIO_URL="${SELLER}")
    assert (ran.code, ran.out) == (2, "")
    assert "still holds the placeholder" in ran.complaint
