"""The operator's commands as processes, in a home of their own."""

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
"""Account 0 of the mnemonic that anvil and hardhat share."""


@dataclass(frozen=True, slots=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """What was told on stderr, which must be one line."""
        assert self.err.count("\n") == 1, self.err
        return self.err.removeprefix("seedance-mcp: ").strip()


@dataclass(frozen=True, slots=True)
class Shell:
    """``home`` is the user's; nothing of the real user's environment is seen."""

    home: Path

    @property
    def data(self) -> Path:
        return self.home / "data" / "seedance-mcp"

    @property
    def ledger(self) -> Path:
        return self.data / "ledger.db"

    def environment(self, **settings: str) -> dict[str, str]:
        """``settings`` are named without their prefix."""
        plain = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "XDG_DATA_HOME": str(self.home / "data"),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        }
        return plain | {f"SEEDANCE_{name}": value for name, value in settings.items()}

    def run(self, *arguments: str, typed: str = "", **settings: str) -> Ran:
        """``typed`` is what stands on stdin. No output ever holds the private key or a traceback."""
        process = subprocess.run(
            [sys.executable, "-m", "seedance_mcp", *arguments],
            cwd=self.home,
            env=self.environment(**settings),
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            start_new_session=True,
        )
        for told in (process.stdout, process.stderr):
            assert "Traceback" not in told, told
            assert KEY[2:] not in told
        return Ran(process.returncode, process.stdout, process.stderr)

    def run_each(self, *commands: Sequence[str], **settings: str) -> list[Ran]:
        """Independent commands, side by side."""
        with ThreadPoolExecutor() as pool:
            return list(pool.map(lambda arguments: self.run(*arguments, **settings), commands))
