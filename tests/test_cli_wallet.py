import json
import os
import re
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest
from eth_account import Account

from seedance_mcp.sandbox import Sandbox, serve
from tests.shell import ADDRESS, KEY, Ran, Shell

PASSWORD = "correct horse battery staple"
posix = pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")


@dataclass(frozen=True, slots=True)
class Made:
    """A wallet that ``wallet new`` made."""

    shell: Shell
    ran: Ran
    keystore: Path
    address: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    shell = Shell(tmp_path_factory.mktemp("home"))
    (shell.home / "password").write_text(PASSWORD + "\nnot the password\n")
    ran = shell.run("wallet", "new", KEYSTORE_PASSWORD_FILE=str(shell.home / "password"))
    assert ran.code == 0, ran.err
    return Made(shell, ran, shell.data / "keystore.json", ran.out.strip())


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_wallet_prints_its_address_and_nothing_else_on_stdout(made: Made) -> None:
    assert re.fullmatch(r"0x[0-9a-fA-F]{40}\n", made.ran.out)
    assert f"Keystore: {made.keystore}" in made.ran.err
    assert "USDC on Base" in made.ran.err


@posix
def test_a_new_keystore_is_its_owner_s_alone(made: Made) -> None:
    assert mode(made.keystore) == 0o600
    assert mode(made.keystore.parent) == 0o700


def test_another_tool_opens_the_keystore_and_finds_a_key_that_was_never_shown(made: Made) -> None:
    key = Account.decrypt(json.loads(made.keystore.read_text()), PASSWORD)
    assert Account.from_key(key).address == made.address
    for told in (made.ran.out, made.ran.err, made.keystore.read_text()):
        assert bytes(key).hex() not in told.lower()
        assert PASSWORD not in told


def test_the_address_is_read_without_the_password(made: Made) -> None:
    ran = made.shell.run("wallet", "address")
    assert (ran.code, ran.out, ran.err) == (0, f"{made.address}\n", "")


def test_a_second_wallet_never_overwrites_the_first(made: Made) -> None:
    before = made.keystore.read_bytes()
    ran = made.shell.run("wallet", "new", KEYSTORE_PASSWORD_FILE=str(made.shell.home / "password"))
    assert (ran.code, ran.out) == (2, "")
    assert ran.complaint == f"{made.keystore} exists already; a key is never overwritten."
    assert made.keystore.read_bytes() == before


def test_a_password_that_is_typed_is_asked_for_twice(shell: Shell) -> None:
    ran = shell.run("wallet", "new", typed=f"{PASSWORD}\n{PASSWORD}\n", KEYSTORE=str(shell.home / "key.json"))
    assert ran.code == 0
    assert re.fullmatch(r"0x[0-9a-fA-F]{40}\n", ran.out)
    assert "SEEDANCE_KEYSTORE_PASSWORD_FILE" in ran.err
    assert (shell.home / "key.json").is_file()


def test_no_wallet_is_made_without_a_password(shell: Shell) -> None:
    (shell.home / "password").write_text("\n")
    ran = shell.run("wallet", "new", KEYSTORE_PASSWORD_FILE=str(shell.home / "password"))
    assert (ran.code, ran.complaint) == (2, "A keystore needs a password.")
    ran = shell.run("wallet", "new", KEYSTORE_PASSWORD_FILE=str(shell.home / "nowhere"))
    assert ran.code == 2
    assert ran.complaint.endswith("nowhere cannot be read.")
    assert not shell.data.exists()


def test_without_a_wallet_the_way_to_one_is_told(shell: Shell) -> None:
    ran = shell.run("wallet", "balance")
    assert (ran.code, ran.out) == (1, "")
    assert ran.complaint == "there is no wallet yet. Run `seedance-mcp wallet new`."


def test_a_key_in_the_environment_is_a_wallet(shell: Shell) -> None:
    ran = shell.run("wallet", "address", PRIVATE_KEY=f" {KEY}\n")
    assert (ran.code, ran.out) == (0, f"{ADDRESS}\n")


def test_a_key_that_is_none_is_refused_and_not_repeated(shell: Shell) -> None:
    key = KEY[:-1] + "g"
    ran = shell.run("wallet", "address", PRIVATE_KEY=key)
    assert (ran.code, ran.out) == (2, "")
    assert ran.complaint.startswith("SEEDANCE_PRIVATE_KEY cannot be used: a private key is ")
    assert key[2:40] not in ran.err


@posix
def test_a_keystore_that_others_can_read_is_refused(shell: Shell) -> None:
    keystore = shell.home / "key.json"
    keystore.write_text(json.dumps({"version": 3, "address": ADDRESS}))
    keystore.chmod(0o644)
    ran = shell.run("wallet", "address", KEYSTORE=str(keystore))
    assert ran.code == 2
    assert ran.complaint.endswith(f"Run `chmod 600 {keystore}`, if only you had access.")
    keystore.chmod(0o600)
    assert shell.run("wallet", "address", KEYSTORE=str(keystore)).out == f"{ADDRESS}\n"


async def test_the_balance_is_what_the_chain_says(shell: Shell) -> None:
    sandbox = Sandbox()
    async with serve(sandbox) as origin:
        sandbox.fund(ADDRESS, 12_345_600)
        ran = shell.run("wallet", "balance", PRIVATE_KEY=KEY, BASE_RPC_URL=f"{origin}/rpc")
        assert (ran.code, ran.out, ran.err) == (0, "12.3456\n", "")


def test_a_chain_that_cannot_be_asked_is_exit_code_1_and_its_key_is_not_shown(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v2/api-key"
    ran = shell.run("wallet", "balance", PRIVATE_KEY=KEY, BASE_RPC_URL=url)
    assert (ran.code, ran.out) == (1, "")
    assert "api-key" not in ran.complaint
    assert ran.complaint.endswith("Call again in a minute.")
