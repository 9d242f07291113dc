"""All checks: what has to wait for a network waits side by side, and none of it for more than some seconds."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Generic, TypeVar

import anyio
import httpx
from anyio.abc import TaskGroup
from anyio.to_thread import run_sync

from seedance_mcp.app import make_rails
from seedance_mcp.checkup.alerts import check_alerts
from seedance_mcp.checkup.balances import check_balances, read_balances
from seedance_mcp.checkup.books import read_books
from seedance_mcp.checkup.clients import check_clients
from seedance_mcp.checkup.clocks import check_clock, check_ledger_clock
from seedance_mcp.checkup.finding import Finding, Status, failed
from seedance_mcp.checkup.hosts import Hosts, ask_hosts, check_hosts
from seedance_mcp.checkup.key import check_key, check_keystore, known_address
from seedance_mcp.checkup.output import check_output
from seedance_mcp.checkup.rules import check_policy, check_purchase, everyday_clip
from seedance_mcp.checkup.seller import ask_seller, check_seller
from seedance_mcp.errors import ChainError
from seedance_mcp.rails.rail import Rail
from seedance_mcp.settings import Settings

CONNECT_SECONDS = 4
KEY_SECONDS = 30
"""Long enough for a human to unlock a keyring."""

T = TypeVar("T")


class _Later(Generic[T]):
    """The value of a task, there once its group has ended."""

    value: T

    def __init__(self, tasks: TaskGroup, work: Callable[[], Awaitable[T]]) -> None:
        tasks.start_soon(self._run, work)

    async def _run(self, work: Callable[[], Awaitable[T]]) -> None:
        self.value = await work()


async def examine(settings: Settings, usual: Mapping[str, int]) -> Sequence[Finding]:
    """One finding or more of each check. ``usual``: what each model costs at least, in micro-USD.

    Raises InvalidSettings for a ledger of an unknown kind.
    """
    _, policy = check_policy(settings, usual, seen=False)
    async with _http() as shop, _http() as world:
        address = known_address(settings)
        rails = make_rails(settings, world, address)
        first = next((rails[name] for name in policy.rails if name in rails) if policy else iter(rails.values()))
        async with anyio.create_task_group() as tasks:
            key = _Later(tasks, partial(_key, settings))
            books = _Later(tasks, partial(read_books, settings, first))
            seller = _Later(tasks, partial(ask_seller, shop, settings))
            chains = _Later(tasks, partial(_chains, list(rails.values())))
            balances = _Later(tasks, partial(_balances, rails, address))
    usage, shop_seen = books.value.usage, seller.value
    rules, policy = check_policy(settings, usual, seen=books.value.policy_seen)
    clip = everyday_clip(shop_seen.generation or usage.generation)
    lines = [key.value, check_keystore(settings), rules, check_output(settings), *books.value.findings]
    lines.append(check_alerts(settings, books.value.post))
    lines += [check_clock(shop_seen, chains.value), *check_ledger_clock(usage.clock_ahead)]
    lines += [check_seller(shop_seen, usage.generation), *(check_hosts(hosts, policy) for hosts in chains.value)]
    if address is not None:
        lines += check_balances(rails, balances.value, clip, policy, address)
    if policy is not None:
        lines.append(check_purchase(policy, usage, clip, first.name, settings.agent))
    return [line for line in (*lines, *check_clients(settings)) if line is not None]


async def clock_problem(settings: Settings) -> Finding | None:
    """What the seller and the chains have against this machine's clock, if anything."""
    async with _http() as shop, _http() as world, anyio.create_task_group() as tasks:
        seller = _Later(tasks, partial(ask_seller, shop, settings))
        chains = _Later(tasks, partial(_chains, list(make_rails(settings, world, None).values())))
    found = check_clock(seller.value, chains.value)
    return None if found.status is Status.OK else found


async def _key(settings: Settings) -> Finding:
    with anyio.move_on_after(KEY_SECONDS):
        return await run_sync(check_key, settings, abandon_on_cancel=True)
    return failed("key", "the keyring did not answer in time", "Unlock it.")


async def _chains(rails: Sequence[Rail]) -> list[Hosts]:
    found: dict[str, Hosts] = {}

    async def ask(rail: Rail) -> None:
        found[rail.name] = await ask_hosts(rail)

    async with anyio.create_task_group() as tasks:
        for rail in rails:
            tasks.start_soon(ask, rail)
    return [found[rail.name] for rail in rails]


async def _balances(rails: Mapping[str, Rail], address: str | None) -> Mapping[str, int | ChainError]:
    return await read_balances(rails, address) if address is not None else {}


def _http() -> httpx.AsyncClient:
    # As in the server, no proxy or certificate setting of the environment changes whom is spoken to.
    return httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=CONNECT_SECONDS)
