"""What a seller or an agent may do, done to each buyer in turn, and what it cost on the chain."""

import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from compare_buyers import Buyer, Limits

from tests.e2e.home import PAYER
from tests.peers import studio
from tests.peers.chain import Anvil
from tests.peers.x402_seller import X402Seller

CLIP, LONG = 5, 12
"""Seconds; at 720p they cost $0.4125 and $0.99."""

ROUTE = "/api/generate/seedance/i2v"
FUNDS = 100_000_000


NO_LIMITS = Limits()


class Price:
    """Of any clip, in micro-USD: the usual one until another is ``asked``."""

    def __init__(self, usual: Callable[[Mapping[str, Any]], int]) -> None:
        self._usual = usual
        self.asked: int | None = None

    def __call__(self, body: Mapping[str, Any]) -> int:
        return self._usual(body) if self.asked is None else self.asked


class Stage(NamedTuple):
    seller: X402Seller
    price: Price


@dataclass(frozen=True, slots=True)
class Scene:
    """``limits`` are set by the operator before ``play``, which returns what the agent was told."""

    title: str
    play: Callable[[Buyer, Stage], Awaitable[list[str]]]
    limits: Limits = NO_LIMITS


@dataclass(frozen=True, slots=True)
class Seen:
    """``paid`` is in micro-USD, and ``booked`` how many of its payments stand in a file that the buyer left."""

    payments: int
    paid: int
    booked: int
    has_limit: bool
    told: list[str]


async def _thrice(buyer: Buyer, _: Stage) -> list[str]:
    return [await buyer.buy(CLIP) for _ in range(3)]


async def _after_500(buyer: Buyer, stage: Stage) -> list[str]:
    stage.seller.after_settlement = 500
    return await _thrice(buyer, stage)


async def _after_a_hang(buyer: Buyer, stage: Stage) -> list[str]:
    stage.seller.after_settlement = "hang"
    return await _thrice(buyer, stage)


async def _three_clips(buyer: Buyer, _: Stage) -> list[str]:
    return [await buyer.buy(LONG, prompt=f"waves, {number}") for number in range(3)]


async def _raised(buyer: Buyer, _: Stage) -> list[str]:
    return [await buyer.buy(LONG, raised_to=5)]


async def _dearer(buyer: Buyer, stage: Stage) -> list[str]:
    await buyer.quote(CLIP)
    stage.price.asked = 450_000
    return [await buyer.buy(CLIP)]


SCENES = (
    Scene("asked for the same clip three times", _thrice),
    Scene("the seller takes the money and answers 500; three calls", _after_500),
    Scene("the seller takes the money and hangs; three calls", _after_a_hang),
    Scene("three clips of $0.99 with a limit of $1.50 a day", _three_clips, Limits(per_day=150)),
    Scene("one clip of $0.99 with a limit of $0.75 a payment, and an agent that asks for a limit of $5", _raised,
          Limits(per_payment=75)),
    Scene("quoted $0.4125, then asked for $0.45", _dearer),
)  # fmt: skip


@contextmanager
def _stage(rpc_url: str) -> Iterator[Stage]:
    usual = studio.SALES[ROUTE]
    price = Price(usual.price)
    studio.SALES[ROUTE] = replace(usual, price=price)
    try:
        with X402Seller(rpc_url) as seller:
            yield Stage(seller, price)
    finally:
        studio.SALES[ROUTE] = usual


async def play(scene: Scene, kind: type[Buyer], chain: Anvil) -> Seen:
    with chain.isolated(), _stage(chain.url) as stage, TemporaryDirectory(prefix="seedance-compare-") as name:
        chain.mint(PAYER, FUNDS)
        buyer = kind(stage.seller.origin, chain.url, Path(name) / "home")
        has_limit = buyer.limit(scene.limits)
        async with buyer.run():
            block = chain.block_number()
            told = await scene.play(buyer, stage)
        transfers = chain.transfers(block)
        left = _everything_in(Path(name))
        booked = sum(transfer.transaction.removeprefix("0x").encode() in left for transfer in transfers)
        return Seen(len(transfers), sum(transfer.amount for transfer in transfers), booked, has_limit, told)


def _everything_in(folder: Path) -> bytes:
    """Every file that the buyer left, one after the other; SQLite keeps its text as it is."""
    files = (Path(where) / name for where, _, names in os.walk(folder) for name in names)
    return b"\n".join(file.read_bytes() for file in files if file.suffix != ".jpg")
