"""A process of the product: the real corridor and recovery, held at each of their seams until told to go on."""

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import anyio

from seedance_mcp.balance import Balance
from seedance_mcp.chain import Chain
from seedance_mcp.errors import LedgerBusy
from seedance_mcp.guard.policy import Policy
from seedance_mcp.ledger.database import Transaction
from seedance_mcp.payment.tokens import BASE_USDC, TEMPO_USDCE
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.purchase import Corridor
from seedance_mcp.rails.base import BaseRail
from seedance_mcp.rails.tempo import TempoRail
from seedance_mcp.recovery import Recovery
from seedance_mcp.sending import Sender
from seedance_mcp.studio.client import Studio
from seedance_mcp.studio.models import Answer, Job
from tests.machine.base import BaseWitness
from tests.machine.credentials import ORIGIN
from tests.machine.seams import Fault, Killed, Seam
from tests.machine.store import Door
from tests.machine.tempo import TempoWitness

if TYPE_CHECKING:
    from tests.machine.chain import Witness
    from tests.machine.world import World

P = ParamSpec("P")
T = TypeVar("T")

KEY = bytes.fromhex("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d")
"""Account 1 of the mnemonic that anvil and hardhat share."""

HOSTS = 2
"""Of each chain."""
MOST_SEAMS = 200


@dataclass(eq=False)
class Call:
    """One tool call, or one sweep. ``signatures`` counts what it signed; ``at`` names the seam where it waits."""

    name: str
    scope: anyio.CancelScope | None = None
    at: Seam | None = None
    gate: "asyncio.Future[Fault] | None" = None
    task: "asyncio.Task[Any] | None" = None
    signatures: int = 0
    free: bool = False
    """It stops nowhere."""

    @property
    def ended(self) -> bool:
        return self.task is not None and self.task.done()


class Process:
    def __init__(self, world: "World", owner: str) -> None:
        self.world = world
        self.owner = owner
        self.dead = False
        self.calls: list[Call] = []
        base = [BaseWitness(world.chains["x402"], self.gate, world.wanted) for _ in range(HOSTS)]
        tempo = [TempoWitness(world.chains["mpp"], self.gate, world.wanted) for _ in range(HOSTS)]
        self.witnesses: dict[str, Sequence[Witness]] = {"x402": base, "mpp": tempo}
        studio = _Studio(self)
        door = _GatedDoor(self, world.store.door(owner, world.is_gone))
        self.door = door.door
        rails = {
            "x402": BaseRail(BASE_USDC, Chain(base), _Funds(world, "x402")),
            "mpp": TempoRail(TEMPO_USDCE, Chain(tempo), _Funds(world, "mpp")),
        }
        self.recovery = Recovery(
            studio=studio,
            database=door,
            rails=rails,
            policy=self.policy,
            owner=owner,
            now=world.clock.wall,
        )
        wallet = _QuickWallet(self)
        sender = Sender(
            studio=studio,
            database=door,
            wallet=wallet,
            rails=rails,
            recovery=self.recovery,
            owner=owner,
            now=world.clock.wall,
        )
        self.corridor = Corridor(
            studio=studio,
            database=door,
            wallet=wallet,
            policy=self.policy,
            rails=rails,
            continuity=None,
            sender=sender,
            recovery=self.recovery,
            owner=owner,
            now=world.clock.wall,
        )

    async def policy(self) -> Policy:
        return self.world.policy

    def start(self, name: str, work: Callable[[], Coroutine[Any, Any, object]]) -> Call:
        """Begin a call; it stops at its first seam."""
        call = Call(name)

        async def run() -> object:
            with anyio.CancelScope() as call.scope:
                return await work()
            return None

        call.task = self.world.loop.create_task(run())
        self.calls.append(call)
        self.world.loop.drain()
        return call

    def proceed(self, call: Call, fault: Fault = Fault.NONE) -> None:
        """Let the call pass its seam and go on to the next."""
        if call.gate is not None and not call.gate.done():
            call.gate.set_result(fault)
            self.world.loop.drain()

    def proceed_to(self, call: Call, seam: Seam, nth: int = 1) -> None:
        """Let the call go on until it waits at the ``nth`` such seam from here, or cannot go on."""
        for _ in range(MOST_SEAMS):
            if call.at is None:
                return
            self.proceed(call)
            nth -= call.at is seam
            if nth == 0:
                return

    def give_up(self, call: Call) -> None:
        """The client cancels its call."""
        assert call.scope is not None
        self.world.loop.call_soon(call.scope.cancel)
        self.world.loop.drain()

    def kill(self) -> None:
        """SIGKILL: whatever is on its way stays as it is."""
        self.dead = True
        for call in self.calls:
            assert call.task is not None
            call.task.cancel()
        self.world.loop.drain()
        assert all(call.ended for call in self.calls)
        self.world.collect(self)
        self.world.store.forget(self.door)

    async def gate(self, seam: Seam) -> Fault:
        if self.dead:
            raise Killed
        call = self.current()
        if call is None or call.free:
            return Fault.NONE
        call.at, call.gate = seam, self.world.loop.create_future()
        try:
            fault = await call.gate
        finally:
            call.at = call.gate = None
        if self.dead:
            raise Killed
        return fault

    def current(self) -> Call | None:
        task = asyncio.current_task()
        return next((call for call in self.calls if call.task is task), None)


class _GatedDoor:
    """The ledger as one process reaches it. What a transaction did is shown to the judge before anybody goes on."""

    def __init__(self, process: Process, door: Door) -> None:
        self._process = process
        self.door = door

    async def write(self, statement: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        name = statement.__name__
        if await self._process.gate(Seam.WRITE) is Fault.BUSY:
            raise LedgerBusy("another process holds the ledger")
        judge = self._process.world.judge
        before = judge.before(self._process, name, args)
        result = self.door.write(statement, *args, **kwargs)
        judge.after(self._process, name, args, before, result)
        return result

    async def read(self, statement: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._process.dead:
            raise Killed
        return self.door.read(statement, *args, **kwargs)

    async def hold(self, owner: str) -> None:
        raise NotImplementedError

    async def claim(self, name: str) -> bool:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


class _Funds(Balance):
    def __init__(self, world: "World", rail: str) -> None:
        self._world = world
        self._rail = rail

    async def read(self) -> int | None:
        return self._world.funds(self._rail)

    def forget(self) -> None:
        pass


class _Studio(Studio):
    def __init__(self, process: Process) -> None:
        self.origin = ORIGIN
        self._process = process

    async def post(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        seller, gate = self._process.world.seller, self._process.gate
        if not headers:
            await gate(Seam.ASK_PRICE)
            return seller.quote(path)
        await gate(Seam.SEND)
        paid = seller.receive(headers)
        self._process.world.judge.sent(self._process, paid, headers)
        try:
            answer = seller.answer(path, body, paid)
        finally:
            await gate(Seam.READ_ANSWER)
        return answer

    async def jobs(self, limit: int = 50, status: str | None = None) -> list[Job]:
        await self._process.gate(Seam.LIST_JOBS)
        return self._process.world.seller.jobs[-limit:]


class _QuickWallet(Wallet):
    """Signs in no time, by a keyed hash that nobody here verifies, and tells the judge."""

    __slots__ = ("_process",)

    def __init__(self, process: Process) -> None:
        real = _wallet()
        self._key, self.address, self._process = real._key, real.address, process

    def sign_digest(self, digest: bytes) -> bytes:
        self._process.world.judge.signed(self._process)
        return hashlib.sha512(KEY + digest).digest() + b"\x1b"

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        return context + b"\0" + plaintext

    def unseal(self, blob: bytes, context: bytes) -> bytes:
        bound, _, plaintext = blob.partition(b"\0")
        if bound != context:
            raise ValueError("sealed for another payment")
        return plaintext


@cache
def _wallet() -> Wallet:
    return Wallet(KEY)
