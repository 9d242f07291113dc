"""Somebody who buys clips on a local chain, with servers that may die; and the books of all who took part."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from eth_account.signers.local import LocalAccount
from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import CONNECTION_CLOSED, CallToolResult
from PIL import Image

from seedance_mcp.app import open_app
from seedance_mcp.ledger.check import check_ledger
from seedance_mcp.ledger.states import UNCOUNTED
from seedance_mcp.rails.rail import MARGIN
from seedance_mcp.settings import Settings
from tests.crash.victim import last_words
from tests.e2e.home import KEY, PAYER, Agent, Home, make_home
from tests.peers.chain import CHAIN_ID, OWNER, Anvil
from tests.peers.studio import Job, Upload
from tests.peers.usdc import USDC
from tests.peers.x402_seller import X402Seller

ROOT = Path(__file__).parents[2]
PRICE = 40_000
CHEAP = {"model": "seedance-fast", "duration": 4, "resolution": "480p"}
"""What a clip for ``PRICE`` micro-USD is."""
FINALITY = 65
"""Blocks after which anvil calls one finalized."""
ROOM = """
[agents.default]
unresolved = 9
[rails]
rpc_agree = 1
valid_for = "{valid_for}"
"""


class Rendered(dict[str, Job]):
    """The seller's jobs, each complete as soon as it is made."""

    def __setitem__(self, job_id: str, job: Job) -> None:
        job.status, job.progress = "complete", 100
        super().__setitem__(job_id, job)


@dataclass(frozen=True)
class Customer:
    """``funds`` are the wallet's micro-USD at the beginning; ``image`` is a picture on the seller's own host."""

    home: Home
    chain: Anvil
    seller: X402Seller
    image: str
    funds: int

    @property
    def debited(self) -> int:
        """Micro-USD that left the wallet, as the chain says."""
        return self.funds - self.chain.balance(PAYER)

    @property
    def counted(self) -> int:
        """Micro-USD that the ledger counts against the budget."""
        return sum(row["amount"] + row["fee"] for row in self.home.payments() if row["state"] not in UNCOUNTED)

    @property
    def states(self) -> list[str]:
        """The states of all payments, oldest first."""
        return [row["state"] for row in self.home.payments()]

    def write_policy(self, *, valid_for: str = "120s", total: str = "1000.00") -> None:
        """Room for everything within ``total``, and the one RPC host that there is may decide alone."""
        self.home.write_policy({"total": total})
        with self.home.policy.open("a") as file:
            file.write(ROOM.format(valid_for=valid_for))

    @asynccontextmanager
    async def victim(self, signal: str, point: str) -> AsyncIterator[Agent]:
        """An agent on a server that gets ``signal`` at ``point``."""
        module = ["-m", "tests.crash.victim", signal, point]
        command = StdioServerParameters(command=sys.executable, args=module, env=self.home.env, cwd=ROOT)
        with self.home.stderr.open("a") as log:
            async with Client(stdio_client(command, errlog=log)) as client:
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

    async def ask(self, agent: Agent, prompt: str = "waves") -> CallToolResult:
        """Ask for the clip, whatever the answer is."""
        return await agent.call("generate_video", prompt=prompt, image=self.image, **CHEAP)

    async def buys(self, *prompts: str) -> list[Path]:
        """The clips, from one server that lives."""
        async with self.home.server() as agent:
            return [await self.clip(agent, prompt) for prompt in prompts]

    async def clip(self, agent: Agent, prompt: str) -> Path:
        answer = await self.ask(agent, prompt)
        assert answer.structured_content is not None, answer.content
        return await agent.clip(answer.structured_content["job_id"])

    async def recover(self) -> list[str]:
        """One sweep of the recovery; what is wrong with the ledger after it."""
        async with open_app(Settings.from_env(dict(self.home.env))) as app:
            await app.recovery.sweep()
            return await check_ledger(app.database)

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

    def cancel(self, payer: LocalAccount, nonce: bytes) -> None:
        """EIP-3009 ``cancelAuthorization``, which marks a nonce as used without a transfer."""
        fields = [{"name": "authorizer", "type": "address"}, {"name": "nonce", "type": "bytes32"}]
        domain = {"name": "USD Coin", "version": "2", "chainId": CHAIN_ID, "verifyingContract": USDC}
        message = {"authorizer": payer.address, "nonce": nonce}
        signed = payer.sign_typed_data(domain, {"CancelAuthorization": fields}, message)
        r, s = (number.to_bytes(32, "big") for number in (signed.r, signed.s))
        function = "cancelAuthorization(address,bytes32,uint8,bytes32,bytes32)"
        self.chain.transact(OWNER, USDC, function, payer.address, nonce, signed.v, r, s)


def make_customer(folder: Path, chain: Anvil, seller: X402Seller) -> Customer:
    """A customer in ``folder`` with all the USDC that the payer has on ``chain``."""
    home = make_home(
        folder,
        STUDIO_URL=seller.origin,
        BLOB_URL=f"{seller.origin}/blob/",
        BASE_RPC_URL=chain.url,
        PRIVATE_KEY=KEY,
    )
    seller.studio.jobs = Rendered()
    customer = Customer(home, chain, seller, hang_up(seller), chain.balance(PAYER))
    customer.write_policy()
    return customer


def hang_up(seller: X402Seller) -> str:
    """The URL of a picture that the seller holds already, so that a clip is one payment."""
    file = BytesIO()
    Image.new("RGB", (640, 360), (30, 90, 160)).save(file, "PNG")
    seller.studio.uploads["u0"] = Upload("u0", PAYER, "lake.png", "image/png", "no token", file.getvalue())
    return f"{seller.origin}/blob/lake.png"
