"""One user of the product: a home folder, the server process that runs in it, and the agent that talks to it."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import CallToolResult, ResourceLink, TextContent
from PIL import Image

if TYPE_CHECKING:
    from mcp.client.session import ElicitationFnT

COMMAND = [sys.executable, "-m", "seedance_mcp"]
KEY = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
PAYER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
"""Account 1 of the mnemonic that anvil and hardhat share."""
NOBODY = "http://127.0.0.1:9"
"""The discard port: nobody answers."""
PATIENCE = 60
"""Seconds after which clients give a call up."""

ROOMY: Mapping[str, str | int] = {"per_payment": "10.00", "per_hour": "1000.00", "per_day": "1000.00"}


@dataclass(frozen=True)
class Problem:
    """What a failed call told: the sentences for the model, the facts for programs."""

    text: str
    code: str
    charged_usd: str
    purchase_id: str | None
    next: str


class Agent:
    """An MCP client that gives up on a call when other clients do."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def call(self, tool: str, **arguments: object) -> CallToolResult:
        return await self.client.call_tool(tool, arguments, read_timeout_seconds=PATIENCE)

    async def ok(self, tool: str, **arguments: object) -> dict[str, Any]:
        """The answer, which stands in the text and in the structured content alike."""
        answer = await self.call(tool, **arguments)
        assert not answer.is_error, _text(answer)
        assert answer.structured_content == json.loads(_text(answer))
        return dict(answer.structured_content)

    async def fails(self, tool: str, **arguments: object) -> Problem:
        """What a call that must fail told."""
        answer = await self.call(tool, **arguments)
        assert answer.is_error, _text(answer)
        assert answer.meta is not None
        return Problem(_text(answer), **answer.meta["seedance/error"])

    async def clip(self, job_id: str) -> Path:
        """The finished clip, once it is on disk."""
        job = await self.ok("check_job", job_id=job_id, wait_seconds=50)
        assert (job["status"], job["error"]) == ("complete", None)
        return Path(job["video_path"])


@dataclass(frozen=True)
class Home:
    """A server that is started here sees these folders and ``settings`` (without their prefix), and nothing else."""

    folder: Path
    settings: dict[str, str]

    @property
    def images(self) -> Path:
        return self.folder / "images"

    @property
    def clips(self) -> Path:
        return self.folder / "clips"

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger" / "ledger.db"

    @property
    def policy(self) -> Path:
        return self.folder / "policy.toml"

    @property
    def stderr(self) -> Path:
        """What its servers said beside the protocol."""
        return self.folder / "stderr.txt"

    @property
    def env(self) -> dict[str, str]:
        own = {"IMAGE_ROOTS": self.images, "OUTPUT_DIR": self.clips, "LEDGER": f"sqlite:{self.ledger}"}
        if self.policy.exists():
            own["POLICY"] = self.policy
        seen = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
        seen["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
        named = {f"SEEDANCE_{name}": str(value) for name, value in (own | self.settings).items()}
        return seen | {"HOME": str(self.folder)} | named

    def having(self, **settings: str) -> "Home":
        """The same folders under other settings."""
        return replace(self, settings=self.settings | settings)

    def lacking(self, *names: str) -> "Home":
        return replace(self, settings={name: value for name, value in self.settings.items() if name not in names})

    def picture(self, name: str = "lake.png", size: tuple[int, int] = (640, 360)) -> Path:
        """A new image that its server may read; the same size gives the same bytes."""
        path = self.images / name
        Image.new("RGB", size, (30, 90, 160)).save(path)
        return path

    def write_policy(self, caps: Mapping[str, str | int] = ROOMY, *, above: str = "10.00") -> None:
        """A policy file with room for everything but ``caps``, and approval asked for ``above`` only."""
        lines = ["version = 1", "[approval]", f'above = "{above}"', "[caps]"]
        lines += [f"{name} = {json.dumps(cap)}" for name, cap in {**ROOMY, **caps}.items()]
        self.policy.write_text("\n".join(lines))
        self.policy.chmod(0o600)

    def payments(self) -> list[dict[str, Any]]:
        """The rows of the ledger's payments, oldest first; none before there is a ledger."""
        if not self.ledger.exists():
            return []
        with closing(sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True)) as ledger:
            ledger.row_factory = sqlite3.Row
            return [dict(row) for row in ledger.execute("SELECT * FROM payments ORDER BY id")]

    def run(self, *command: str, answer: str = "") -> str:
        """The standard output of an operator's command that must succeed; ``answer`` is typed into it."""
        done = subprocess.run(
            [*COMMAND, *command], env=self.env, input=answer, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @asynccontextmanager
    async def server(
        self, *options: str, mode: Literal["auto", "legacy"] = "auto", human: "ElicitationFnT | None" = None
    ) -> AsyncIterator[Agent]:
        """A real client of a real server process; ``human`` answers what the server asks a person."""
        command = StdioServerParameters(command=COMMAND[0], args=[*COMMAND[1:], "serve", *options], env=self.env)
        with self.stderr.open("a") as log:
            async with Client(stdio_client(command, errlog=log), mode=mode, elicitation_callback=human) as client:
                yield Agent(client)


def make_home(folder: Path, **settings: str) -> Home:
    """A chain that is not named is nowhere: no public host is ever asked."""
    home = Home(folder, {"BASE_RPC_URL": NOBODY, "TEMPO_RPC_URL": NOBODY} | settings)
    home.images.mkdir(parents=True)
    home.clips.mkdir()
    return home


def _text(answer: CallToolResult) -> str:
    content, *links = answer.content
    assert isinstance(content, TextContent)
    assert all(isinstance(link, ResourceLink) for link in links)
    return content.text
