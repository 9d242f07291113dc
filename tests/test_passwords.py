from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

from seedance_mcp.errors import InvalidSettings
from seedance_mcp.passwords import find_password, system_keyring
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.settings import Settings
from tests.cli.shell import ADDRESS, KEY


class Drawer(KeyringBackend):
    """``locked`` answers nothing, ``forgetful`` keeps nothing."""

    name = "a drawer"
    priority = 5

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = self.forgetful = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked("a secret about this machine")
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if not self.forgetful:
            self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        raise NotImplementedError


@pytest.fixture
def drawer() -> Iterator[Drawer]:
    before = keyring.get_keyring()
    made = Drawer()
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings.from_env({"SEEDANCE_KEYSTORE": str(tmp_path / "keystore.json")})
    Wallet.from_hex(KEY).to_keystore("any", settings.keystore)
    return settings


def test_the_password_is_that_of_the_file_else_that_of_the_keyring(
    settings: Settings, drawer: Drawer, tmp_path: Path
) -> None:
    assert find_password(settings) is None
    drawer.kept["seedance-mcp", ADDRESS] = "in the drawer"
    drawer.kept["another", ADDRESS] = "of another program"
    assert find_password(settings) == "in the drawer"
    (tmp_path / "password").write_text("in the file\r\nnot this\n")
    assert find_password(replace(settings, keystore_password_file=tmp_path / "password")) == "in the file"


def test_a_password_is_made_once_for_each_address(drawer: Drawer) -> None:
    ring = system_keyring()
    assert ring is not None
    first = ring.make(ADDRESS)
    assert len(first) >= 43
    assert ring.make(ADDRESS) == first
    assert ring.make("0xother") != first
    assert drawer.kept["seedance-mcp", ADDRESS] == first


def test_a_keyring_that_keeps_nothing_is_found_out_before_a_key_is_locked_in(drawer: Drawer) -> None:
    drawer.forgetful = True
    ring = system_keyring()
    assert ring is not None
    with pytest.raises(InvalidSettings, match="does not keep what it is given"):
        ring.make(ADDRESS)


def test_a_locked_keyring_is_told_in_our_words(settings: Settings, drawer: Drawer) -> None:
    drawer.locked = True
    with pytest.raises(InvalidSettings) as caught:
        find_password(settings)
    assert caught.value.what == "the keyring a drawer cannot be used (KeyringLocked)"


def test_plain_files_are_no_keyring(drawer: Drawer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Drawer, "priority", 0.5)
    assert system_keyring() is None
