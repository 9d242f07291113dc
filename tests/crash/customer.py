"""Somebody who buys clips on a local chain, with servers that may die; and the books of all who took part."""

import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import anyio
from anyio.to_thread import run_sync
from eth_account import Account
from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import CONNECTION_CLOSED, CallToolResult
from PIL import Image

from seedance_mcp.app import open_app
from seedance_mcp.ledger.check import check_ledger
from seedance_mcp.ledger.states import SAFETY, UNCOUNTED
from seedance_mcp.payment.charge import FEE_BOUND
from seedance_mcp.rails.rail import MARGIN
from seedance_mcp.settings import Settings
from tests.crash.nursery import Nursery
from tests.crash.victim import last_words
from tests.e2e.home import KEY, PAYER, Agent, Home, make_home
from tests.peers.chain import CHAIN_ID, OWNER, Anvil
from tests.peers.mppx_seller import MppxSeller
from tests.peers.studio import Job, Upload
from tests.peers.tempo import USDC_E, Tempo
from tests.peers.usdc import USDC
from tests.peers.x402_seller import X402Seller

ROOT = Path(__file__).parents[2]
FUNDS = 100_000_000
PRICE = 40_000
CHEAP = {"model": "seedance-fast", "duration": 4, "resolution": "480p"}
"""What a clip for ``PRICE`` micro-USD is."""
FINALITY = 65
"""Blocks after which a node calls one finalized."""
ROOM = """
[agents.default]
unresolved = 9
[rails]
order = ["x402", "mpp"]
rpc_agree = {agree}
valid_for = "{valid_for}"
"""


class Rendered(dict[str, Job]):
    """The seller's jobs, each complete as soon as it is made."""

    def __setitem__(self, job_id: str, job: Job) -> None:
        job.status, job.progress = "complete", 100
        super().__setitem__(job_id, job)


@dataclass(frozen=True)
class Customer:
    """``funds`` are the wallet's micro-USD at the beginning, in block ``since``; ``image`` is on the seller's own host.

    Without a ``nursery`` each server is an interpreter of its own.
    """

    home: Home
    chain: Anvil | Tempo
    seller: X402Seller
    image: str
    funds: int
    since: int
    nursery: Nursery | None = None

    @property
    def held(self) -> int:
        """Micro-USD that one payment counts while its outcome is open: its price, and the most that its fee can be."""
        unsponsored = isinstance(self.seller, MppxSeller) and not self.seller.sponsored
        return PRICE + (FEE_BOUND if unsponsored else 0)

    @property
    def debited(self) -> int:
        """Micro-USD that left the wallet, as the chain says."""
        return self.funds - self.chain.balance(PAYER)

    @property
    def debits(self) -> list[int]:
        """The amounts of the payments among it, oldest first."""
        return [transfer.amount for transfer in self.chain.transfers(self.since) if transfer.sender == PAYER]

    @property
    def counted(self) -> int:
        """Micro-USD that the ledger counts against the budget."""
        return sum(row["amount"] + row["fee"] for row in self.home.payments() if row["state"] not in UNCOUNTED)

    @property
    def states(self) -> list[str]:
        """The states of all payments, oldest first."""
        return [row["state"] for row in self.home.payments()]

    def write_policy(self, *, valid_for: str = "120s", agree: int = 1, total: str = "1000.00") -> None:
        """Room for everything within ``total``; ``agree`` hosts together may give budget back."""
        make_room(self.home, valid_for=valid_for, agree=agree, total=total)

    def asking(self, *hosts: str) -> "Customer":
        """The same one with these RPC hosts."""
        urls = ",".join(hosts)
        return replace(self, home=self.home.having(BASE_RPC_URL=urls, TEMPO_RPC_URL=urls))

    def server(self) -> AbstractAsyncContextManager[Agent]:
        """An agent on a server that lives."""
        return self.home.server() if self.nursery is None else self._nursling(self.nursery)

    @asynccontextmanager
    async def victim(self, signal: str, point: str) -> AsyncIterator[Agent]:
        """An agent on a server that gets ``signal`` at ``point``."""
        if self.nursery is not None:
            async with self._nursling(self.nursery, signal, point) as agent:
                yield agent
            return
        module = ["-m", "tests.crash.victim", signal, point]
        command = StdioServerParameters(command=sys.executable, args=module, env=self.home.env, cwd=ROOT)
        with self.home.stderr.open("a") as log:
            async with Client(stdio_client(command, errlog=log)) as client:
                yield Agent(client)

    @asynccontextmanager
    async def _nursling(self, nursery: Nursery, *fate: str) -> AsyncIterator[Agent]:
        with self.home.stderr.open("a") as log:
            async with Client(nursery.server(self.home.env, log, *fate)) as client:
                yield Agent(client)

    async def dies(self, point: str, prompt: str = "waves") -> None:
        """Ask for a clip from a server that is killed at ``point``, maybe after it has answered."""
        async with self.victim("SIGKILL", point) as agent:
            try:
                await self.clip(agent, prompt)
            except MCPError as error:
                if error.code != CONNECTION_CLOSED:
                    raise
        said = self.home.stderr.read_text()
        assert said.endswith(last_words("SIGKILL", point)), said

    @asynccontextmanager
    async def stopped(self, point: str) -> AsyncIterator[None]:
        """A purchase stands still at ``point`` meanwhile, and has been answered in the end."""
        async with self.victim("SIGSTOP", point) as agent, anyio.create_task_group() as group:
            group.start_soon(self.ask, agent)
            child = await run_sync(os.waitid, os.P_ALL, 0, os.WSTOPPED, abandon_on_cancel=True)
            assert child is not None
            yield
            os.kill(child.si_pid, signal.SIGCONT)

    async def ask(self, agent: Agent, prompt: str = "waves") -> CallToolResult:
        """Ask for the clip, whatever the answer is."""
        return await agent.call("generate_video", prompt=prompt, image=self.image, **CHEAP)

    async def buys(self, *prompts: str) -> list[Path]:
        """The clips, from one server that lives."""
        async with self.server() as agent:
            return [await self.clip(agent, prompt) for prompt in prompts]

    async def insist(self, agent: Agent, prompt: str) -> CallToolResult:
        """The same, after what was signed before has expired if it is too old to be sent.

        Over Tempo a signature lasts for 25 s, which a slow machine may need to start the next server.
        """
        answer = await self.ask(agent, prompt)
        if "about to expire" not in str(answer.content):
            return answer
        await self._give_up()
        return await self.ask(agent, prompt)

    async def clip(self, agent: Agent, prompt: str = "waves") -> Path:
        answer = await self.insist(agent, prompt)
        assert answer.structured_content is not None, answer.content
        return await agent.clip(answer.structured_content["job_id"])

    async def _give_up(self) -> None:
        """What was signed by now and is not used never will be; the clock stays where the oldest of it is worthless."""
        now = int(time.time())
        deadlines = [row["deadline"] for row in self.home.payments() if row["deadline"]]
        self.outlast(max(deadlines))
        self.set_clock(max([now, *(deadline for deadline in deadlines if deadline - SAFETY <= now)]))
        await self.recover()

    async def recover(self) -> list[str]:
        """One sweep of the recovery; what is wrong with the ledger after it."""
        async with open_app(Settings.from_env(dict(self.home.env))) as app:
            await app.recovery.sweep()
            return await check_ledger(app.database)

    def spend_elsewhere(self, amount: int) -> None:
        """Micro-USD leave the wallet without its ledger."""
        self.chain.transact(PAYER, USDC_E, "transfer(address,uint256)", "0x" + "ab" * 20, amount)

    def finalize(self) -> None:
        """What is on the chain by now is final."""
        self.chain.mine(FINALITY)

    def pass_deadline(self, deadline: int, by: int = 1) -> None:
        """Make the first block that proves, once it is final, that a payment was never used; ``by=0`` is too early."""
        self.chain.set_next_timestamp(deadline + MARGIN + by)
        self.chain.mine()

    def outlast(self, deadline: int, by: int = 1) -> None:
        """The same, and finalize it."""
        self.pass_deadline(deadline, by)
        self.finalize()
        self.set_clock()

    def set_clock(self, seconds: int | None = None) -> None:
        """Let the blocks from here on be of this time (epoch seconds), or of now: what is signed then must be valid."""
        self.chain.rpc("evm_setTime", int(time.time()) if seconds is None else seconds)
        self.chain.mine()

    def cancel(self, nonce: bytes) -> None:
        """EIP-3009 ``cancelAuthorization``, which marks a nonce as used without a transfer."""
        fields = [{"name": "authorizer", "type": "address"}, {"name": "nonce", "type": "bytes32"}]
        domain = {"name": "USD Coin", "version": "2", "chainId": CHAIN_ID, "verifyingContract": USDC}
        message = {"authorizer": PAYER, "nonce": nonce}
        signed = Account.from_key(KEY).sign_typed_data(domain, {"CancelAuthorization": fields}, message)
        r, s = (number.to_bytes(32, "big") for number in (signed.r, signed.s))
        function = "cancelAuthorization(address,bytes32,uint8,bytes32,bytes32)"
        self.chain.transact(OWNER, USDC, function, PAYER, nonce, signed.v, r, s)


def make_room(home: Home, *, valid_for: str = "120s", agree: int = 1, total: str = "1000.00") -> None:
    home.write_policy({"total": total})
    with home.policy.open("a") as file:
        file.write(ROOM.format(agree=agree, valid_for=valid_for))


def make_customer(folder: Path, chain: Anvil | Tempo, seller: X402Seller, nursery: Nursery | None = None) -> Customer:
    """A customer in ``folder`` whose wallet can pay on ``chain`` only."""
    home = make_home(
        folder,
        STUDIO_URL=seller.origin,
        BLOB_URL=f"{seller.origin}/blob/",
        # One of them is of the wrong chain, which is as good as none.
        BASE_RPC_URL=chain.url,
        TEMPO_RPC_URL=chain.url,
        PRIVATE_KEY=KEY,
    )
    seller.studio.jobs = Rendered()
    chain.mint(PAYER, FUNDS)
    customer = Customer(home, chain, seller, hang_up(seller), chain.balance(PAYER), chain.block_number(), nursery)
    customer.write_policy()
    return customer


def hang_up(seller: X402Seller) -> str:
    """The URL of a picture that the seller holds already, so that a clip is one payment."""
    file = BytesIO()
    Image.new("RGB", (640, 360), (30, 90, 160)).save(file, "PNG")
    seller.studio.uploads["u0"] = Upload("u0", PAYER, "lake.png", "image/png", "no token", file.getvalue())
    return f"{seller.origin}/blob/lake.png"
