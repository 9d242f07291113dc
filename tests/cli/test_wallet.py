import json
import os
import re
import socket
import stat
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from eth_account import Account

from seedance_mcp.continuity import Mark, Marker
from seedance_mcp.payment.wallet import Wallet, keystore_address
from seedance_mcp.sandbox import Sandbox, serve
from tests.cli.desktop import Desktop
from tests.cli.shell import ADDRESS, KEY, Ran, Shell

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
def desktop(tmp_path: Path) -> Desktop:
    return Desktop.at(tmp_path)


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


async def test_the_balances_are_what_the_chains_say(shell: Shell) -> None:
    sandbox = Sandbox()
    async with serve(sandbox) as origin:
        sandbox.fund(ADDRESS, 12_345_600, "x402")
        chains = {"BASE_RPC_URL": f"{origin}/rpc", "TEMPO_RPC_URL": f"{origin}/rpc/tempo"}
        ran = shell.run("wallet", "balance", PRIVATE_KEY=KEY, **chains)
        assert (ran.code, ran.out, ran.err) == (0, "$12.3456 USDC on Base\n$0.00 USDC.e on Tempo\n", "")
        ran = shell.run("wallet", "balance", "--json", PRIVATE_KEY=KEY, **chains)
        assert json.loads(ran.out) == {
            "x402": balance("eip155:8453", "USDC", "12.3456"),
            "mpp": balance("eip155:4217", "USDC.e", "0.00"),
        }


async def test_a_chain_that_cannot_be_asked_does_not_hide_the_other(shell: Shell) -> None:
    sandbox = Sandbox()
    async with serve(sandbox) as origin:
        sandbox.fund(ADDRESS, 5_000_000)
        chains = {"BASE_RPC_URL": closed(), "TEMPO_RPC_URL": f"{origin}/rpc/tempo"}
        ran = shell.run("wallet", "balance", PRIVATE_KEY=KEY, **chains)
        assert (ran.code, ran.out) == (0, "$5.00 USDC.e on Tempo\n")
        assert ran.complaint.startswith("USDC on Base is not known: The RPC host 127.0.0.1 cannot be reached")
        ran = shell.run("wallet", "balance", "--json", PRIVATE_KEY=KEY, **chains)
        told = json.loads(ran.out)
        assert told["mpp"] == balance("eip155:4217", "USDC.e", "5.00")
        assert told["x402"]["balance_usd"] is None
        assert "cannot be reached" in told["x402"]["error"]


def test_without_any_chain_it_is_exit_code_1_and_no_key_of_a_host_is_shown(shell: Shell) -> None:
    url = f"{closed()}/v2/api-key"
    ran = shell.run("wallet", "balance", PRIVATE_KEY=KEY, BASE_RPC_URL=url, TEMPO_RPC_URL=url)
    assert (ran.code, ran.out) == (1, "")
    assert "api-key" not in ran.err
    assert ran.err.splitlines()[-1] == "seedance-mcp: no balance could be read. Call again in a minute."


def balance(network: str, token: str, amount: str) -> dict[str, str | None]:
    return {"address": ADDRESS, "network": network, "token": token, "balance_usd": amount, "error": None}


def closed() -> str:
    """An address that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_new_wallet_is_known_to_have_spent_nothing(made: Made) -> None:
    assert Marker(made.keystore).read() == Mark()


def test_how_to_fund_it_is_told(made: Made) -> None:
    assert f"send USDC on Base, or USDC.e on Tempo, to {made.address}. No ETH is needed on Base" in made.ran.err
    assert "A small balance is the last limit" in made.ran.err


def test_a_key_that_is_piped_in_is_kept_encrypted(shell: Shell) -> None:
    (shell.home / "password").write_text(PASSWORD)
    ran = shell.run("wallet", "import", typed=f"{KEY}\n", KEYSTORE_PASSWORD_FILE=str(shell.home / "password"))
    assert (ran.code, ran.out) == (0, f"{ADDRESS}\n")
    keystore = shell.data / "keystore.json"
    assert bytes(Account.decrypt(json.loads(keystore.read_text()), PASSWORD)).hex() == KEY[2:]
    assert Marker(keystore).read() is None, "what this wallet spent elsewhere is not known"


def test_the_password_may_follow_the_key(shell: Shell) -> None:
    ran = shell.run("wallet", "import", "--json", typed=f"{KEY}\n{PASSWORD}\n{PASSWORD}\n")
    assert ran.code == 0
    assert json.loads(ran.out) == {"address": ADDRESS, "keystore": str(shell.data / "keystore.json")}


@posix
def test_a_key_that_is_typed_is_not_shown(shell: Shell) -> None:
    """On a terminal, which a program drives."""
    (shell.home / "password").write_text(PASSWORD)
    terminal, end = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "seedance_mcp", "wallet", "import"],
        cwd=shell.home,
        env=shell.environment(KEYSTORE_PASSWORD_FILE=str(shell.home / "password")),
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
    ) as process:
        os.close(end)
        shown = b""
        while b"Private key:" not in shown:
            shown += os.read(terminal, 1000)
        os.write(terminal, KEY.encode() + b"\n")
        with suppress(OSError):  # the end of a terminal, on Linux
            while more := os.read(terminal, 1000):
                shown += more
    os.close(terminal)
    assert process.returncode == 0
    assert ADDRESS.encode() in shown
    assert KEY[2:].encode() not in shown


def test_what_is_no_key_is_refused_and_not_repeated(shell: Shell) -> None:
    for typed in (KEY[:-1] + "g\n", "\n", ""):
        ran = shell.run("wallet", "import", typed=typed)
        assert (ran.code, ran.out) == (2, "")
        assert ran.complaint.startswith("this key cannot be used: a private key is ")
        assert KEY[2:40] not in ran.err
    assert not shell.data.exists()


def test_an_import_overwrites_nothing(made: Made) -> None:
    before = made.keystore.read_bytes()
    ran = made.shell.run("wallet", "import", typed=f"{KEY}\n")
    assert (ran.code, ran.complaint) == (2, f"{made.keystore} exists already; a key is never overwritten.")
    assert made.keystore.read_bytes() == before


def test_a_key_is_never_an_argument(shell: Shell) -> None:
    ran = shell.run("wallet", "import", "0x" + "1" * 64)
    assert ran.code == 2
    assert "unexpected extra argument" in ran.err


def test_no_key_is_made_beside_one_in_the_environment(shell: Shell) -> None:
    for command in ("new", "import"):
        ran = shell.run("wallet", command, PRIVATE_KEY=KEY)
        assert ran.code == 2
        assert ran.complaint.startswith("SEEDANCE_PRIVATE_KEY is set, and would be used in the place of any other key.")


def test_a_keyring_opens_the_keystore(desktop: Desktop) -> None:
    ran = desktop.run("wallet", "new")
    assert (ran.code, ran.out) == (0, f"{keystore_address(desktop.data / 'keystore.json')}\n")
    assert "Its password is in the keyring (a ring for tests)." in ran.err
    [(place, password)] = desktop.kept.items()
    assert place == f"seedance-mcp/{ran.out.strip()}"
    key = Account.decrypt(json.loads((desktop.data / "keystore.json").read_text()), password)
    assert Account.from_key(key).address == ran.out.strip()
    for told in (ran.out, ran.err, json.dumps(desktop.kept)):
        assert bytes(key).hex() not in told
        assert password not in ran.out + ran.err


def test_the_same_key_gets_the_password_that_is_kept_for_it(desktop: Desktop) -> None:
    """A new one would lock every copy of the keystore that there is."""
    desktop.run("wallet", "import", typed=f"{KEY}\n")
    (desktop.data / "keystore.json").rename(desktop.home / "backup.json")
    before = desktop.kept
    assert desktop.run("wallet", "import", typed=f"{KEY}\n").code == 0
    assert desktop.kept == before
    (password,) = before.values()
    for keystore in (desktop.home / "backup.json", desktop.data / "keystore.json"):
        assert Wallet.from_keystore(keystore, password).address == ADDRESS


def test_a_keyring_can_be_declined(desktop: Desktop) -> None:
    assert desktop.run("wallet", "new", "--keystore", typed=f"{PASSWORD}\n{PASSWORD}\n").code == 0
    assert desktop.kept == {}


def test_a_password_file_goes_before_a_keyring(desktop: Desktop) -> None:
    password = desktop.home / "password"
    password.write_text(PASSWORD)
    assert desktop.run("wallet", "new", KEYSTORE_PASSWORD_FILE=str(password)).code == 0
    assert desktop.kept == {}
    ran = desktop.run("wallet", "new", "--keyring", KEYSTORE_PASSWORD_FILE=str(password), KEYSTORE=str(password) + "2")
    assert ran.code == 2
    assert "SEEDANCE_KEYSTORE_PASSWORD_FILE says where the password is" in ran.err


def test_a_keyring_that_is_not_there_cannot_be_asked_for(shell: Shell) -> None:
    ran = shell.run("wallet", "new", "--keyring")
    assert ran.code == 2
    assert "no keyring runs here" in ran.err
    assert not shell.data.exists()


def test_a_keyring_that_is_locked_is_told(desktop: Desktop) -> None:
    (desktop.home / "locked").touch()
    ran = desktop.run("wallet", "new")
    assert (ran.code, ran.out) == (2, "")
    assert ran.complaint.startswith("the keyring a ring for tests cannot be used (KeyringLocked). Unlock it")
    assert not (desktop.data / "keystore.json").exists()


def test_a_keyring_of_plain_files_is_none(desktop: Desktop) -> None:
    (desktop.home / "plain").touch()
    assert desktop.run("wallet", "new", "--keyring").code == 2
