"""This machine's clock against the seller's and the chains', and the ledger's against this machine's."""

from collections.abc import Iterator, Sequence

from seedance_mcp.checkup.balances import chain_name
from seedance_mcp.checkup.finding import Finding, failed, ok, warning
from seedance_mcp.checkup.hosts import Hosts
from seedance_mcp.checkup.seller import Seller
from seedance_mcp.orders import CHAIN_AHEAD, CHAIN_BEHIND, CLOCK_TOLERANCE

_SET = "Set this machine's clock, and let it be kept by the network: nothing is signed by a wrong one."


def check_clock(seller: Seller, chains: Sequence[Hosts]) -> Finding:
    """As the purchase itself does. A block that is a little old proves nothing: its chain may be slow or idle."""
    facts: dict[str, object] = {"ahead_of_seller_s": seller.ahead}
    facts |= {f"ahead_of_{hosts.token.rail}_s": hosts.ahead for hosts in chains}
    if seller.ahead is not None and abs(seller.ahead) > CLOCK_TOLERANCE:
        way = "ahead of" if seller.ahead > 0 else "behind"
        return failed("clock", f"this machine's clock is {abs(seller.ahead):,} s {way} the seller's", _SET, **facts)
    for hosts in chains:
        # A block cannot be from the future; a purchase only allows its makers more than that.
        if hosts.ahead is not None and not -CLOCK_TOLERANCE <= hosts.ahead <= CHAIN_BEHIND:
            way = "ahead of" if hosts.ahead > 0 else "behind"
            what = f"this machine's clock is {abs(hosts.ahead):,} s {way} the newest block on {chain_name(hosts.token)}"
            todo = f"{_SET} If it is right, name other hosts in {hosts.variable}."
            judge = warning if -CHAIN_AHEAD <= hosts.ahead < 0 else failed
            return judge("clock", what, todo, **facts)
    agreeing = list(_agreeing(seller, chains))
    if not agreeing:
        todo = "Try again when the seller can be reached: nothing is signed before its clock was seen."
        return warning("clock", "this machine's clock could be compared with nothing", todo, **facts)
    named = agreeing[0] if len(agreeing) == 1 else f"{', '.join(agreeing[:-1])} and {agreeing[-1]}"
    return ok("clock", f"this machine's clock agrees with {named}", **facts)


def check_ledger_clock(ahead: int) -> Iterator[Finding]:
    """``ahead`` is in milliseconds; only what stops purchases is worth a line."""
    if ahead > 0:
        yield failed(
            "ledger clock",
            f"the ledger's clock is {ahead // 1000:,} s ahead of this machine's, which was wrong once or is wrong now",
            "If this machine's clock is right, run `seedance-mcp doctor --reset-clock`.",
            ahead_s=ahead // 1000,
        )


def _agreeing(seller: Seller, chains: Sequence[Hosts]) -> Iterator[str]:
    if seller.ahead is not None:
        yield "the seller's"
    for hosts in chains:
        if hosts.ahead is not None and abs(hosts.ahead) <= CLOCK_TOLERANCE:
            yield f"{chain_name(hosts.token)}'s"
