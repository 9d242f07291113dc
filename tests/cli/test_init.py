"""``init`` as a process: what it asks, shows and writes."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from seedance_mcp.cli.funding import wait_for_deposit
from seedance_mcp.continuity import Mark, Marker
from seedance_mcp.guard.policy import parse_policy
from seedance_mcp.ledger.sqlite import SQLite
from seedance_mcp.ledger.states import DAY, State
from seedance_mcp.payment.wallet import Wallet, keystore_address
from seedance_mcp.sandbox import Sandbox, serve
from seedance_mcp.settings import Settings
from seedance_mcp.timing import now
from tests.cli.desktop import Desktop
from tests.cli.shell import ADDRESS, KEY, Shell
from tests.ledger.examples import Desk, intent
from tests.report.schemas import ADDRESS as ADDRESS_SCHEMA
from tests.report.schemas import TEXT, USD, maybe, record, rows

SCHEMA = record(
    address=ADDRESS_SCHEMA,
    written=rows(TEXT),
    balances=maybe({"type": "object", "propertyNames": {"enum": ["x402", "mpp"]}, "additionalProperties": USD}),
    proof=maybe(record(purchase_id=TEXT, charged_usd=USD, rail={"enum": ["x402", "mpp"]}, image_url=TEXT)),
)
LIMITS = ("--per-payment", "1", "--per-day", "$4.00", "--ask-above", "0.50")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """With a client and a folder of pictures."""
    (tmp_path / ".cursor").mkdir()
    (tmp_path / "Pictures").mkdir()
    return Shell(tmp_path)


def told(shell: Shell, *options: str, typed: str = "", **settings: str) -> dict[str, Any]:
    ran = shell.run("init", "--json", *options, typed=typed, **settings)
    assert ran.code == 0, ran.err
    value: dict[str, Any] = json.loads(ran.out)
    Draft202012Validator(SCHEMA).validate(value)
    return value


def config(shell: Shell, name: str = "policy.toml") -> Path:
    return shell.home / "config" / "seedance-mcp" / name


def test_all_is_shown_before_anything_is_written(shell: Shell) -> None:
    options = ("--images", str(shell.home / "Pictures"), "--client", "cursor", "--client", "codex")
    ran = shell.run("init", *LIMITS, *options, typed="n\n")
    assert ran.code == 1
    for place in (
        config(shell, "password"),
        shell.data / "keystore.json",
        config(shell),
        shell.home / ".cursor/mcp.json",
    ):
        assert f"\n  {place}\n" in ran.out
    assert 'per_payment = "1.00"' in ran.out
    assert f'"SEEDANCE_IMAGE_ROOTS": "{shell.home / "Pictures"}"' in ran.out
    assert "[mcp_servers.seedance]" in ran.out
    assert ran.err.startswith("Write it? [y/N]: ")
    assert sorted(path.name for path in shell.home.rglob("*")) == [".cursor", "Pictures"]


def test_what_was_agreed_to_is_written_and_works_together(shell: Shell) -> None:
    value = told(shell, *LIMITS, "--images", str(shell.home / "Pictures"), "--client", "cursor", typed="y\n")
    keystore, password, client = (
        shell.data / "keystore.json",
        config(shell, "password"),
        shell.home / ".cursor/mcp.json",
    )
    assert value["written"] == [str(password), str(keystore), str(config(shell)), str(client)]
    assert Wallet.from_keystore(keystore, password.read_text().strip()).address == value["address"]
    assert Marker(keystore).read() == Mark(), "a new wallet has spent nothing elsewhere"
    policy = parse_policy(config(shell).read_text())
    assert (policy.caps.per_payment, policy.caps.per_hour, policy.caps.per_day) == (1_000_000, 2_000_000, 4_000_000)
    assert policy.approval_above == 500_000
    entry = json.loads(client.read_text())["mcpServers"]["seedance"]
    assert entry["env"] == {
        "SEEDANCE_IMAGE_ROOTS": str(shell.home / "Pictures"),
        "SEEDANCE_AGENT": "cursor",
    }
    assert Path(entry["command"]).is_absolute()
    assert entry["args"][-1] == "serve"
    for path in (password, keystore, config(shell)):
        assert path.stat().st_mode & 0o077 == 0
    settings = {name.removeprefix("SEEDANCE_"): setting for name, setting in entry["env"].items()}
    assert shell.run("wallet", "address", **settings).out == f"{value['address']}\n"


def test_what_no_option_says_is_asked(shell: Shell) -> None:
    ran = shell.run("init", typed="\n6\n\n~/Pictures\n\ny\n")
    assert "in a safe place now: without both the money is lost." in ran.out
    assert ran.code == 0, ran.err
    asked = [question.strip() for question in re.findall(r"[A-Z][^?]*\?[^\[\]]*\[[^\]]*\]", ran.err)]
    assert asked == [
        "What may one payment cost? $ [2.50]",
        "What may be spent within 24 hours? $ [10.00]",
        "Above which price are you asked first? $ [1.50]",
        "In which folder are the pictures that agents may use? (none: only public https URLs) [none]",
        "Which clients are to start the server? (claude-desktop, claude-code, cursor, vscode, codex; none) [cursor]",
        "Write it? [y/N]",
    ]
    caps = tomllib.loads(config(shell).read_text())["caps"]
    assert (caps["per_payment"], caps["per_hour"], caps["per_day"]) == ("2.50", "3.00", "6.00")
    assert "seedance" in json.loads((shell.home / ".cursor/mcp.json").read_text())["mcpServers"]
    assert "send USDC on Base, or USDC.e on Tempo, to 0x" in ran.out


def test_where_nobody_answers_nothing_is_changed(shell: Shell) -> None:
    ran = shell.run("init", typed="")
    assert (ran.code, ran.err.splitlines()[-1]) == (
        1,
        "seedance-mcp: there was no answer, or it was no: nothing was changed.",
    )
    assert not shell.data.exists()


def test_limits_that_contradict_one_another_are_told(shell: Shell) -> None:
    limits = ("--per-payment", "0.20", "--per-day", "4", "--ask-above", "3")
    ran = shell.run("init", *limits, "--images", "Pictures", "--client", "none", typed="n\n")
    assert "approval.above: " in ran.out
    assert "caps.per_payment: " in ran.out


def test_what_is_there_stays_as_it_is(shell: Shell) -> None:
    """Also a file of a client that is more than plain JSON: its owner is shown what to add."""
    first = ("--images", "Pictures", "--client", "cursor", "--client", "vscode")
    vscode = shell.home / "config" / "Code" / "User" / "mcp.json"
    vscode.parent.mkdir(parents=True)
    vscode.write_text('{\n  // mine\n  "servers": {}\n}\n')
    ran = shell.run("init", *LIMITS, *first, typed="y\n")
    assert ran.code == 0, ran.err
    assert f"VS Code: {vscode} is not plain JSON. Add this by hand" in ran.out
    before = {path: path.read_bytes() for path in shell.home.rglob("*") if path.is_file()}
    assert before[vscode] == b'{\n  // mine\n  "servers": {}\n}\n'
    ran = shell.run("init", *LIMITS, "--images", "Pictures", "--client", "cursor")
    assert ran.code == 0, ran.err
    assert "There is nothing to write.\n" in ran.out
    assert f"Policy: {config(shell)} stays as it is.\n" in ran.out
    assert {path: path.read_bytes() for path in shell.home.rglob("*") if path.is_file()} == before
    ran = shell.run("init", "--per-payment", "0.10", "--images", "Pictures", "--client", "cursor")
    assert (ran.code, ran.out.count("\n")) == (2, 1)
    assert "is there already, and the options for its limits would change nothing" in ran.err


def test_a_keystore_that_nothing_opens_stops_it(shell: Shell) -> None:
    Wallet.from_hex(KEY).to_keystore("secret", shell.data / "keystore.json")
    ran = shell.run("init", "--client", "none")
    assert (ran.code, ran.out) == (2, "")
    assert ran.complaint.endswith(
        f"Put it into {config(shell, 'password')}, for you alone to read, and run this again."
    )


def test_a_key_in_the_environment_is_not_handed_on(shell: Shell) -> None:
    value = told(shell, *LIMITS, "--images", "Pictures", "--client", "cursor", typed="y\n", PRIVATE_KEY=KEY, AGENT="me")
    assert value["address"] == ADDRESS
    assert not shell.data.exists()
    entry = json.loads((shell.home / ".cursor/mcp.json").read_text())["mcpServers"]["seedance"]
    assert entry["env"] == {"SEEDANCE_AGENT": "me", "SEEDANCE_IMAGE_ROOTS": str(shell.home / "Pictures")}


def test_wrong_usage_is_exit_code_2(shell: Shell) -> None:
    wrong = (
        ["--client", "emacs"],
        ["--per-day", "1e6"],
        ["--images", "nowhere"],
        [*LIMITS, "--client", "none", "--images", "."],
    )
    for ran in shell.run_each(*(["init", *options] for options in wrong)):
        assert ran.code == 2, ran.err
    assert "where an agent's files are" in ran.err
    assert not shell.data.exists()


def test_a_keyring_keeps_the_password_where_there_is_one(shell: Shell) -> None:
    desktop = Desktop.at(shell.home)
    value = told(desktop, *LIMITS, "--images", "Pictures", "--client", "cursor", typed="y\n")
    assert list(desktop.kept) == [f"seedance-mcp/{value['address']}"]
    (password,) = desktop.kept.values()
    assert Wallet.from_keystore(shell.data / "keystore.json", password).address == value["address"]
    assert not config(shell, "password").exists()
    # The second time it is opened with that.
    assert told(desktop, "--images", "Pictures", "--client", "cursor")["written"] == []


async def test_the_set_up_is_proved_with_one_upload(shell: Shell) -> None:
    """On a ledger with a history, whose wallet is funded by now."""
    database = await SQLite.open(shell.ledger, "real")
    await Desk(database, now() - DAY).at(State.SETTLED, intent("one"))
    await database.close()
    options = (*LIMITS, "--images", "Pictures", "--client", "none")
    address = told(shell, *options, typed="y\n")["address"]
    assert address == keystore_address(shell.data / "keystore.json")
    sandbox = Sandbox()
    sandbox.fund(address, 50_000)
    async with serve(sandbox) as origin:
        seller = {
            "STUDIO_URL": origin,
            "BLOB_URL": f"{origin}/blob/",
            "BASE_RPC_URL": f"{origin}/rpc",
            "TEMPO_RPC_URL": f"{origin}/rpc/tempo",
        }
        value = told(shell, *options, "--wait", "--prove", **seller)
        assert value["balances"] == {"x402": "0.05", "mpp": "0.05"}
        assert value["proof"]["charged_usd"] == "0.01"
        again = told(shell, *options, "--prove", **seller)
    assert again["proof"] == value["proof"] | {"charged_usd": "0.00"}
    assert [transfer.value for transfer in sandbox.bank.transfers] == [10_000]


async def test_a_deposit_is_waited_for(tmp_path: Path) -> None:
    sandbox, said = Sandbox(), list[str]()
    async with serve(sandbox) as origin:
        settings = Settings.from_env({}).at(origin, f"sqlite:{tmp_path / 'ledger.db'}")

        async def deposit(_seconds: float) -> None:
            sandbox.fund(ADDRESS, 6_000, "mpp")

        held = await wait_for_deposit(settings, ADDRESS, said.append, sleep=deposit)
    assert held == {"x402": 0, "mpp": 12_000}
    assert said == []
