"""Clips and other entries for a ledger that is reported on."""

from typing import Any

from seedance_mcp.ledger import entries, jobs
from seedance_mcp.ledger.entries import Seen
from seedance_mcp.ledger.states import Payment, State
from tests.guard.examples import OTHER
from tests.ledger.examples import USDC, Desk, intent

BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"
KATHMANDU = "<+0545>-5:45"


async def clip(
    desk: Desk, name: str, *, seconds: int = 5, state: State = State.SETTLED, saved: bool = True, **changes: Any
) -> Payment:
    """A clip that was bought in ``state``, and is on disk if it was ``saved``."""
    request = {"prompt": name, "duration": seconds}
    payment = await desk.at(state, intent(name, request=request, **changes))
    job = f"job-{name}"
    await desk.database.write(jobs.add, payment.purchase, job, desk.now)
    if saved:
        await desk.database.write(jobs.save_clip, job, f"/clips/{name}.mp4", desk.now)
    return payment


async def alter(desk: Desk, payment: Payment, **columns: object) -> None:
    """Write what no purchase of this ledger writes: a fee that was taken, an end by the operator's hand."""
    names = ", ".join(f"{name} = :{name}" for name in columns)
    await desk.database.write(lambda tx: tx.do(f"UPDATE payments SET {names} WHERE id = :id", id=payment.id, **columns))


async def outside(desk: Desk, amount: int) -> None:
    """A transfer of the wallet that this ledger did not make."""
    seen = Seen("x402", "eip155:8453", USDC, "0xpayer", OTHER, amount, f"0x{amount}", 0, desk.now)
    await desk.database.write(entries.scanned, [seen], "0xpayer", "eip155:8453", desk.now)


async def failed(desk: Desk, fee: int) -> None:
    """A transaction that failed, and took its fee."""
    payment = await desk.at(State.EXPIRED, intent("failed", fee=fee, rail="mpp"))
    await desk.database.write(entries.book_fee, payment, fee, "0xfailed", desk.now // 1000, desk.now)
