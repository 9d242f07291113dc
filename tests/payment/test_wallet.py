import copy
import json
import os
import pickle
import stat
from pathlib import Path
from typing import cast

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_keyfile.keyfile import create_keyfile_json

from seedance_mcp.errors import InvalidSettings
from seedance_mcp.payment.wallet import Wallet
from tests.payment.examples import ADDRESS, KEY

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def keystore(path: Path, **changes: object) -> Path:
    """A cheap keystore of the test key, with the password ``secret``."""
    document = create_keyfile_json(bytes.fromhex(KEY[2:]), cast("str", b"secret"), kdf="pbkdf2", iterations=2) | changes
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    return path


def test_a_key_is_read_with_or_without_its_prefix() -> None:
    assert Wallet.from_hex(KEY).address == Wallet.from_hex(KEY[2:].upper()).address == ADDRESS


@pytest.mark.parametrize(
    "text",
    [
        *["", "0x", KEY[:-1], KEY + "0", KEY + "\n", " " + KEY, KEY.replace("a", "g"), "\uff10" * 64],
        *["0x" + "0" * 64, f"{ORDER:064x}", "f" * 64],
    ],
)
def test_a_key_of_another_form_is_refused_and_never_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="private key") as caught:
        Wallet.from_hex(text)
    assert len(text) < 3 or text not in str(caught.value)
    assert caught.value.__cause__ is None


def test_new_wallets_differ() -> None:
    assert Wallet.create().address != Wallet.create().address


def test_eth_account_signs_the_same_bytes() -> None:
    wallet, account = Wallet.from_hex(KEY), Account.from_key(KEY)
    for number in range(20):
        digest = number.to_bytes(32, "big")
        assert wallet.sign_digest(digest) == account.unsafe_sign_hash(digest).signature
    text = "two\nlines, ünïcode"
    assert wallet.sign_message(text) == account.sign_message(encode_defunct(text=text)).signature


@pytest.mark.parametrize("digest", [b"", bytes(31), bytes(33)])
def test_only_a_digest_is_signed(digest: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Wallet.from_hex(KEY).sign_digest(digest)


def test_the_key_does_not_show_and_is_neither_copied_nor_pickled() -> None:
    wallet = Wallet.from_hex(KEY)
    assert KEY[2:] not in f"{wallet!r} {wallet} {wallet.__slots__}"
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="neither copied nor pickled"):
            leave(wallet)


def test_derived_keys_belong_to_wallet_and_label() -> None:
    wallet, other = Wallet.from_hex(KEY), Wallet.from_hex("11" * 32)
    derived = {wallet.derive(b"a"), wallet.derive(b"b"), other.derive(b"a")}
    assert len(derived) == 3
    assert {len(key) for key in derived} == {32}
    assert bytes.fromhex(KEY[2:]) not in derived


def test_sealed_bytes_open_only_for_the_same_wallet_and_context() -> None:
    wallet, other = Wallet.from_hex(KEY), Wallet.from_hex("11" * 32)
    blob = wallet.seal(b"credential", b"payment 1")
    assert b"credential" not in blob
    assert wallet.seal(b"credential", b"payment 1") != blob
    assert wallet.unseal(blob, b"payment 1") == b"credential"
    assert wallet.unseal(wallet.seal(b"", b""), b"") == b""
    for reader, data, context in (
        (other, blob, b"payment 1"),
        (wallet, blob, b"payment 2"),
        (wallet, blob[:-1], b"payment 1"),
        (wallet, blob[:20], b"payment 1"),
        (wallet, bytes([blob[0] ^ 1]) + blob[1:], b"payment 1"),
    ):
        with pytest.raises(ValueError, match="sealed bytes"):
            reader.unseal(data, context)


def test_a_keystore_is_private_standard_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "new" / "wallet.json"
    Wallet.from_hex(KEY).to_keystore("córrect hörse 馬", path)
    assert Wallet.from_keystore(path, "córrect hörse 馬").address == ADDRESS
    assert bytes(Account.decrypt(path.read_text(), "córrect hörse 馬")).hex() == KEY[2:]
    assert json.loads(path.read_text())["crypto"]["kdf"] == "scrypt"
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    before = path.read_bytes()
    with pytest.raises(InvalidSettings, match="never overwritten"):
        Wallet.create().to_keystore("other", path)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["wallet.json"]


def test_a_keystore_needs_a_password(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="password"):
        Wallet.create().to_keystore("", tmp_path / "wallet.json")
    assert not (tmp_path / "wallet.json").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_a_keystore_that_others_can_open_is_refused(tmp_path: Path, mode: int) -> None:
    path = keystore(tmp_path / "wallet.json")
    path.chmod(mode)
    with pytest.raises(InvalidSettings, match="other users"):
        Wallet.from_keystore(path, "secret")


def test_a_wrong_password_does_not_show_the_file(tmp_path: Path) -> None:
    path = keystore(tmp_path / "wallet.json")
    assert Wallet.from_keystore(path, "secret").address == ADDRESS
    with pytest.raises(InvalidSettings, match="not opened by this password") as caught:
        Wallet.from_keystore(path, "wrong-password")
    assert "wrong-password" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 3}', '{"version": 3, "crypto": 1}', "[" * 50_000, "\x00"]
)
def test_a_file_that_is_no_keystore_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "wallet.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(InvalidSettings):
        Wallet.from_keystore(path, "secret")


def test_a_keystore_that_names_another_address_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="another address"):
        Wallet.from_keystore(keystore(tmp_path / "wallet.json", address="00" * 20), "secret")


def test_a_missing_keystore_is_a_matter_of_settings(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="cannot be read"):
        Wallet.from_keystore(tmp_path / "none.json", "secret")
