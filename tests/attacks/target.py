"""The product under attack: the real app and its tools in this process, with every signature counted."""

import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import apsw
import httpx
import pytest
from mcp import Client

import seedance_mcp.app
from seedance_mcp.app import App, open_app
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.runtime import Runtime
from seedance_mcp.server import build_server
from seedance_mcp.settings import Settings
from tests.attacks.hostile import Hostile
from tests.attacks.rpc import Rpc
from tests.e2e.home import KEY, Agent, Home, Problem, make_home

NOBODY = "http://127.0.0.1:9"
"""The discard port: nobody answers."""


def wall_clock() -> int:
    """Epoch milliseconds, for sellers of other processes."""
    return time.time_ns() // 1_000_000


@dataclass
class Clock:
    """The time of the world, in epoch milliseconds: it stands still until it is moved."""

    now: int

    def __call__(self) -> int:
        return self.now


class Counted(Wallet):
    """A wallet that knows how often it signed, for money and for a login."""

    __slots__ = ("logins", "payments")

    def __init__(self, key: bytes) -> None:
        super().__init__(key)
        self.payments = self.logins = 0

    def sign_digest(self, digest: bytes) -> bytes:
        self.payments += 1
        return super().sign_digest(digest)

    def sign_message(self, text: str) -> bytes:
        signature = super().sign_message(text)
        self.payments, self.logins = self.payments - 1, self.logins + 1
        return signature


@dataclass(frozen=True, slots=True)
class Signed:
    """How many credentials were made: by the wallet, in the ledger, and on the wire (distinct, and in all)."""

    wallet: int
    ledger: int
    distinct: int
    sent: int

    def __sub__(self, other: "Signed") -> "Signed":
        return Signed(*(getattr(self, name) - getattr(other, name) for name in Signed.__slots__))


NOTHING = Signed(0, 0, 0, 0)
ONCE = Signed(1, 1, 1, 1)


@dataclass
class Target:
    """Somebody who buys at ``seller``, as the agent and the test see it."""

    home: Home
    seller: Hostile
    app: App
    agent: Agent
    wallet: Counted

    @property
    def signed(self) -> Signed:
        rows = [row for row in self.payments if row["nonce"] is not None]
        credentials = self.seller.credentials
        return Signed(self.wallet.payments, len(rows), len(set(credentials)), len(credentials))

    @property
    def payments(self) -> list[dict[str, Any]]:
        return payments(self.home)

    @property
    def states(self) -> list[str]:
        return [row["state"] for row in self.payments]

    @property
    def counted(self) -> int:
        """Micro-USD that the ledger counts against the budget."""
        gone = ("intended", "released", "expired")
        return sum(row["amount"] + row["fee"] for row in self.payments if row["state"] not in gone)

    def request(self, **arguments: object) -> dict[str, object]:
        return {"prompt": "waves", "image": self.seller.image, "duration": 5, **arguments}

    async def buys(self, **arguments: object) -> dict[str, Any]:
        return await self.agent.ok("generate_video", **self.request(**arguments))

    async def refuses(self, **arguments: object) -> Problem:
        """How a clip is refused, after making sure that nothing was signed for it."""
        return await self.signs_nothing("generate_video", **self.request(**arguments))

    async def signs_nothing(self, tool: str, **arguments: object) -> Problem:
        before = self.signed
        problem = await self.agent.fails(tool, **arguments)
        assert self.signed - before == NOTHING, problem.text
        assert "Nothing was charged." in problem.text
        assert "Traceback" not in problem.text
        return problem

    async def ends(self, job_id: str) -> dict[str, Any]:
        """The job once its clip is on disk, or something about it is wrong."""
        while True:
            job = await self.agent.ok("check_job", job_id=job_id)
            if job["error"] is not None or job["video_path"] is not None:
                return job
            await anyio.lowlevel.checkpoint()


@cache
def _tls(verify: bool, cert: None, trust_env: bool) -> ssl.SSLContext:
    return httpx.create_ssl_context(verify, cert, trust_env)


def payments(home: Home) -> list[dict[str, Any]]:
    """The rows of the ledger's payments, oldest first.

    Read through the library that the app has the file open with: the locks of a file are its process's, and another
    library in this one would let go of them.
    """
    if not home.ledger.exists():
        return []
    with closing(apsw.Connection(str(home.ledger), flags=apsw.SQLITE_OPEN_READONLY)) as ledger:
        ledger.set_row_trace(lambda cursor, row: dict(zip((c[0] for c in cursor.get_description()), row, strict=True)))
        return [dict(row) for row in ledger.execute("SELECT * FROM payments ORDER BY id")]


def settle_down(folder: Path, seller: Hostile, *hosts: Rpc, **settings: str) -> Home:
    """A home that buys at ``seller`` and reads Base from ``hosts``; without any, from nobody."""
    urls = ",".join(host.origin for host in hosts) or NOBODY
    home = make_home(
        folder,
        STUDIO_URL=seller.origin,
        BLOB_URL=f"{seller.origin}/blob/",
        BASE_RPC_URL=urls,
        TEMPO_RPC_URL=NOBODY,
        PRIVATE_KEY=KEY,
        **settings,
    )
    home.write_policy()
    return home


@asynccontextmanager
async def open_target(
    home: Home, seller: Hostile, clock: Clock | None = None, *, own_tls: bool = False
) -> AsyncIterator[Target]:
    """The app and its tools in this process. ``clock`` is what it takes for the time.

    It shares the world's certificates with the others here, which take long to read, unless it wants ``own_tls``.
    """
    settings = Settings.from_env(dict(home.env))
    wallet = Counted.from_hex(KEY)
    opened: list[App] = []

    @asynccontextmanager
    async def opener() -> AsyncIterator[App]:
        with pytest.MonkeyPatch.context() as patch:
            if clock is not None:
                patch.setattr(seedance_mcp.app, "now", clock)
            if not own_tls:
                patch.setattr(httpx._transports.default, "create_ssl_context", _tls)
            async with open_app(settings, wallet=wallet) as app:
                opened.append(app)
                yield app

    runtime = Runtime(lambda: opener)
    async with Client(build_server(runtime)) as client:
        await runtime.app()
        yield Target(home, seller, opened[0], Agent(client), wallet)
