import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import click
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from seedance_mcp import __version__, app
from seedance_mcp.cli import main, serving
from seedance_mcp.guard.usage import WALLET, Outcome, Usage, Verdict
from seedance_mcp.ledger import approvals, reservations, views
from seedance_mcp.ledger.sqlite import SQLite
from seedance_mcp.ledger.states import Purchase, State
from seedance_mcp.money import dollars
from seedance_mcp.orders import SHIPPED_PAY_TO
from seedance_mcp.payment.tokens import BASE_USDC
from seedance_mcp.settings import STUDIO_URL
from seedance_mcp.timing import now
from tests.cli.shell import KEY, Shell
from tests.guard.examples import OTHER, PAY_TO
from tests.ledger.examples import NOW, Desk, intent
from tests.report import schemas


async def usage(shell: Shell) -> Usage:
    database = await SQLite.open(shell.ledger, "real")
    try:
        return await database.read(views.usage, [], STUDIO_URL, BASE_USDC.rail, BASE_USDC.address, NOW)
    finally:
        await database.close()


def test_help_is_given_whatever_the_settings(shell: Shell) -> None:
    long, short, of_one = shell.run_each(["--help"], ["-h"], ["wallet", "new", "--help"], STUDIO_URL="not a url")
    assert (long.code, long.err) == (0, "")
    assert short == long
    listed = [line.split()[0] for line in long.out.partition("Commands:\n")[2].splitlines()]
    assert {"serve", "demo", "wallet", "freeze", "unfreeze", "trust", "spend", "jobs", "collect"} <= set(listed)
    assert " wallet new [OPTIONS]" in of_one.out


def test_the_faults_are_those_that_the_sandbox_has() -> None:
    assert set(serving.FAULTS) == set(app.FAULTS)


def test_the_version_is_told(shell: Shell) -> None:
    assert shell.run("--version").out == f"seedance-mcp, version {__version__}\n"


def test_wrong_usage_is_exit_code_2(shell: Shell) -> None:
    wrong = (
        ["sped"],
        ["serve", "--fault", "slow"],
        ["trust", PAY_TO[2:]],
    )
    for ran in shell.run_each(*wrong):
        assert (ran.code, ran.out) == (2, "")
        assert "Usage: " in ran.err
    assert not shell.data.exists(), "nothing was made, least of all a ledger"


def test_wrong_settings_are_exit_code_2_and_one_sentence(shell: Shell) -> None:
    for ran in shell.run_each([], ["spend"], STUDIO_URL="http://studio.example"):
        assert (ran.code, ran.out) == (2, "")
        assert ran.complaint == (
            "SEEDANCE_STUDIO_URL is plain http to studio.example: only https is allowed, or http to this machine."
        )
    assert not shell.data.exists()


def test_a_malformed_policy_is_told_in_one_line_and_the_server_goes_on_saving_clips(shell: Shell) -> None:
    policy = shell.home / "policy.toml"
    policy.write_text("version = 1\n[caps]\nper_payment = 2.5\n")
    policy.chmod(0o600)
    ran = shell.run(POLICY=str(policy))
    assert (ran.code, ran.out) == (0, "")
    assert ran.complaint == (
        f"Nothing is bought until the policy is mended: {policy}: the policy has the number 2.5: "
        'write amounts and shares as strings, like "2.5" (at line 3, column 1)'
    )
    ran = shell.run("serve", "--sandbox", POLICY=str(policy), OUTPUT_DIR=str(shell.home))
    assert ran.code == 0
    assert "where an agent's files are" in ran.complaint


def test_a_ledger_of_another_kind_is_refused_without_its_password(shell: Shell) -> None:
    ran = shell.run("spend", LEDGER="postgresql://ada:secret@db.example/ledger")
    assert ran.code == 2
    assert "postgresql" in ran.complaint
    assert "secret" not in ran.err


def test_a_file_that_is_no_ledger_is_exit_code_1(shell: Shell) -> None:
    (shell.home / "notes.db").write_bytes(b"not a ledger " * 100)
    ran = shell.run("spend", LEDGER=f"sqlite:{shell.home / 'notes.db'}")
    assert (ran.code, ran.out) == (1, "")
    assert "is not a usable SQLite file" in ran.complaint


async def test_freezing_needs_no_question_and_unfreezing_does(shell: Shell) -> None:
    assert shell.run("freeze", "--why", "a leak").out.startswith("Frozen: ")
    assert (await usage(shell)).frozen == "a leak"
    ran = shell.run("unfreeze", typed="")
    assert (ran.code, ran.out) == (1, "")
    assert (await usage(shell)).frozen == "a leak"
    assert shell.run("unfreeze", typed="y\n").out == "Purchases are allowed again.\n"
    assert (await usage(shell)).frozen is None
    assert shell.run("unfreeze", typed="y\n").out == "Nothing was frozen.\n"


async def test_a_recipient_is_trusted_once_that_is_confirmed(shell: Shell) -> None:
    ran = shell.run("trust", PAY_TO, typed="n\n")
    assert (ran.code, ran.out) == (1, "")
    assert f"Send payments for {STUDIO_URL} to {PAY_TO}, no longer to {SHIPPED_PAY_TO}?" in ran.err
    ran = shell.run("trust", PAY_TO, typed="y\n")
    assert (ran.code, ran.out) == (0, f"Payments go to {PAY_TO}.\n")
    assert (await usage(shell)).pinned == PAY_TO
    assert shell.run("trust", OTHER, typed="y\n").out == f"Payments go to {OTHER}, no longer to {PAY_TO}.\n"
    assert (await usage(shell)).pinned == OTHER


def test_a_recipient_with_a_slip_in_its_checksum_is_not_trusted(shell: Shell) -> None:
    slip = SHIPPED_PAY_TO[:-1] + "6"
    ran = shell.run("trust", slip, typed="y\n")
    assert (ran.code, "has a slip in it" in ran.err, "[y/N]" in ran.err) == (2, True, False)
    assert shell.run("trust", slip.lower(), typed="n\n").code == 1, "without capitals there is no checksum"


async def test_only_a_payment_that_is_there_is_given_up(shell: Shell) -> None:
    ran = shell.run("reconcile", "--write-off", "pur_0", typed="y\n")
    assert (ran.code, ran.out) == (1, "")
    assert ran.complaint.startswith("there is no purchase 'pur_0'.")
    assert "[y/N]" not in ran.err
    database = await SQLite.open(shell.ledger, "real")
    payment = await Desk(database).at(State.UNKNOWN)
    await database.close()
    ran = shell.run("reconcile", "--write-off", payment.purchase, typed="n\n")
    assert f"Give the payment of {payment.purchase} ($0.36 for seedance) up? It stays counted." in ran.err


def test_a_question_that_changes_while_it_is_shown_is_not_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = tmp_path / "ledger.db"
    monkeypatch.setenv("SEEDANCE_LEDGER", f"sqlite:{ledger}")

    async def ask(amount: int) -> Purchase:
        database = await SQLite.open(ledger, "real")
        verdict = Verdict(Outcome.ASK, "above_approval", "it is dear")
        asking = approvals.Asking(900_000, lambda usage, verdict: f"Pay {dollars(amount)}?")
        asked = await database.write(
            reservations.consent, intent(amount=amount), [(WALLET, "hour")], lambda usage: verdict, asking, now()
        )
        await database.close()
        assert isinstance(asked, Purchase)
        return asked

    def is_asked_for_more(text: str, **options: object) -> bool:
        anyio.run(ask, 2_000_000)
        return True

    asked = anyio.run(ask, 400_000)
    monkeypatch.setattr(click, "confirm", is_asked_for_more)
    ran = CliRunner().invoke(main, ["approve", asked.id])
    assert (ran.exit_code, ran.stdout) == (1, "Pay $0.40?\n")
    assert "changed, or was answered, while it was shown" in ran.stderr
    still = anyio.run(ask, 2_000_000).approval
    assert still is not None
    assert still.answer is None


def test_the_home_of_the_user_is_known_in_settings(shell: Shell) -> None:
    assert shell.run("spend", LEDGER="sqlite:~/own.db").out == "Nothing has been spent.\n"
    assert (shell.home / "own.db").is_file()


async def test_the_audit_chain_is_verified_and_a_change_is_noticed(shell: Shell) -> None:
    database = await SQLite.open(shell.ledger, "real")
    payment = await Desk(database).at(State.SETTLED)
    assert shell.run("audit", "verify").out == "4 rows, all intact.\n"
    await database.write(lambda tx: tx.do("UPDATE payments SET amount = 1 WHERE id = :id", id=payment.id))
    await database.write(lambda tx: tx.do("UPDATE totals SET amount = 2"))
    await database.close()
    ran = shell.run("audit", "verify")
    assert (ran.code, ran.out) == (1, "")
    assert "the total of wallet is stored as (2, 1) and sums up to (1, 1)" in ran.complaint


def leaves(group: click.Group, *path: str) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from leaves(command, *path, name)
        else:
            yield " ".join((*path, name)), command


def test_every_command_that_prints_data_tells_it_to_programs_too() -> None:
    silent = {
        name for name, command in leaves(main) if not any("--json" in parameter.opts for parameter in command.params)
    }
    assert silent == {"serve", "demo"}


def test_collecting_needs_the_wallet(shell: Shell) -> None:
    ran = shell.run("collect")
    assert (ran.code, ran.out) == (1, "")
    assert ran.complaint.startswith("without its wallet the jobs cannot be asked for. Ask the operator to run")


def test_collecting_ends_at_once_when_nothing_waits(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    settings = {"PRIVATE_KEY": KEY, "STUDIO_URL": url, "BASE_RPC_URL": url, "TEMPO_RPC_URL": url}
    ran, programs = shell.run_each(("collect",), ("collect", "--json"), **settings)
    assert (ran.code, ran.out, ran.err) == (0, "No job was waiting for its clip.\n", "")
    Draft202012Validator(schemas.COLLECTED).validate(json.loads(programs.out))


@pytest.mark.skipif(sys.platform == "win32", reason="has other signals")
def test_the_server_ends_at_the_keyboard(shell: Shell) -> None:
    """Though nothing comes over stdin, and it does not end."""
    command = [sys.executable, "-m", "seedance_mcp", "serve", "--sandbox"]
    with subprocess.Popen(
        command, env=shell.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "me", "version": "1"}}
        request = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
        server.stdin.write(json.dumps(request).encode() + b"\n")
        server.stdin.flush()
        assert b'"id":1' in server.stdout.readline()
        server.send_signal(signal.SIGINT)
        assert server.wait(20) == -signal.SIGINT


def test_the_server_ends_with_its_client_and_says_nothing_on_stdout(shell: Shell) -> None:
    ran = shell.run(PRIVATE_KEY=KEY)
    assert (ran.code, ran.out) == (0, "")
    assert "SEEDANCE_PRIVATE_KEY is set: other programs of this user can read it" in ran.complaint


async def test_the_sandbox_never_works_on_a_real_ledger(shell: Shell) -> None:
    await (await SQLite.open(shell.ledger, "real")).close()
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "seedance_mcp", "serve", "--sandbox"],
        env=shell.environment(LEDGER=f"sqlite:{shell.ledger}", PRIVATE_KEY="not looked at", KEYSTORE="/nowhere"),
    )
    arguments: dict[str, Any] = {"model": "seedance", "duration": 5, "resolution": "720p"}
    async with Client(server) as client:
        answer = await client.call_tool("estimate_cost", arguments)
    assert answer.is_error
    assert "ledger holds real payments and cannot be used for sandbox ones" in str(answer.content[0])
