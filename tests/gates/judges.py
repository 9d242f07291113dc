"""Programs of others that judge an MCP server, run as their users run them."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.home import COMMAND, Home
from tests.gates.npm import NODE, install

HERE = Path(__file__).parent
SANDBOX = [*COMMAND, "serve", "--sandbox"]


@dataclass(frozen=True, slots=True)
class Verdict:
    code: int
    out: str
    err: str

    @property
    def told(self) -> str:
        """All that it said, for the message of a failed test."""
        return f"exit code {self.code}\n{self.out}{self.err}"


def inspector(home: Home, *arguments: str) -> Verdict:
    launcher = install(HERE) / "@modelcontextprotocol" / "inspector" / "clients" / "launcher" / "build" / "index.js"
    return _judge(home, str(NODE), str(launcher), "--cli", *arguments)


def conformance(home: Home, *arguments: str) -> Verdict:
    suite = install(HERE) / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
    return _judge(home, str(NODE), str(suite), "server", *arguments)


def tdqs(home: Home, *arguments: str) -> Verdict:
    return _judge(home, str(Path(sys.executable).with_name("tdqs")), *arguments)


def probe(home: Home, *arguments: str) -> Verdict:
    return _judge(home, sys.executable, "-m", "amagi_mcp_probe", *arguments)


def _judge(home: Home, *command: str) -> Verdict:
    """In ``home``, whose environment the servers that it starts inherit."""
    done = subprocess.run(
        command, cwd=home.folder, env=home.env, capture_output=True, text=True, timeout=110, check=False
    )
    return Verdict(done.returncode, done.stdout, done.stderr)
