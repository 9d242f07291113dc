"""A home with a keyring, which the command finds as it finds any other."""

import json
from pathlib import Path
from typing import Self

from tests.cli.shell import Shell

RING = """
import json
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

HOME = Path(__file__).parent


class Ring(KeyringBackend):
    name = "a ring for tests"
    priority = 0.5 if (HOME / "plain").exists() else 5

    def get_password(self, service, username):
        if (HOME / "locked").exists():
            raise KeyringLocked("no")
        file = HOME / "ring.json"
        return json.loads(file.read_text()).get(f"{service}/{username}") if file.exists() else None

    def set_password(self, service, username, password):
        (HOME / "ring.json").write_text(json.dumps({f"{service}/{username}": password}))

    def delete_password(self, service, username):
        raise NotImplementedError
"""
"""Locked, or no better than a plain file, as soon as there is a file of that name."""


class Desktop(Shell):
    """``kept`` is what the keyring was given."""

    @classmethod
    def at(cls, home: Path) -> Self:
        (home / "ring.py").write_text(RING)
        return cls(home)

    def environment(self, **settings: str) -> dict[str, str]:
        return Shell.environment(self, **settings) | {"PYTHON_KEYRING_BACKEND": "ring.Ring"}

    @property
    def kept(self) -> dict[str, str]:
        file = self.home / "ring.json"
        return dict(json.loads(file.read_text())) if file.exists() else {}
