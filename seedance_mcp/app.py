"""Builds everything from Settings, once: what the server, the commands and the tests start from."""

import logging
import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import httpx
from anyio import CancelScope
from anyio.to_thread import run_sync

from seedance_mcp import __version__
from seedance_mcp.alerts.alerts import Alerts
from seedance_mcp.alerts.happenings import recipients
from seedance_mcp.alerts.webhook import open_webhook
from seedance_mcp.balance import Balance
from seedance_mcp.chain import Chain
from seedance_mcp.chain.eip3009 import AuthorizationHost
from seedance_mcp.chain.tip20 import MemoHost
from seedance_mcp.clips import Clips
from seedance_mcp.continuity import Continuity, Marker
from seedance_mcp.errors import InvalidSettings, LedgerError
from seedance_mcp.eyes import Eyes
from seedance_mcp.fetching import Fetcher
from seedance_mcp.heir import Heir
from seedance_mcp.jobs import Watcher
from seedance_mcp.ledger import jobs
from seedance_mcp.ledger.database import Database
from seedance_mcp.login import WalletLogin
from seedance_mcp.opening import open_ledger
from seedance_mcp.passwords import find_password
from seedance_mcp.payment.tokens import BASE_USDC, TEMPO_USDCE
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.policy_file import PolicyFile
from seedance_mcp.purchase import Corridor
from seedance_mcp.rails.base import BaseRail
from seedance_mcp.rails.rail import Rail
from seedance_mcp.rails.tempo import TempoRail
from seedance_mcp.recovery import Recovery
from seedance_mcp.sending import Sender
from seedance_mcp.settings import LOOPBACK, Settings
from seedance_mcp.studio.client import Studio
from seedance_mcp.timing import now
from seedance_mcp.uploads import Uploads

ANSWER_SECONDS = 20
"""How long one answer of the seller may take: two of them and a recovery fit into a client's minute."""
POLL_SECONDS = 10
SANDBOX_POLL_SECONDS = 1
SANDBOX_FUNDS = 100_000_000
FAULTS: Mapping[str, tuple[str, Any]] = {
    "answer-lost": ("answer", "lost"),
    "402-after-settlement": ("after_settlement", 402),
    "500-after-settlement": ("after_settlement", 500),
    "slow": ("slow_ms", 5_000),
    "failed-job": ("job", "failed"),
}
"""Switches of the sandbox by their name on the command line."""


@dataclass(frozen=True, slots=True)
class App:
    """Everything, wired. ``now`` gives epoch milliseconds."""

    settings: Settings
    database: Database
    wallet: Wallet | None
    policy: PolicyFile
    corridor: Corridor
    uploads: Uploads
    clips: Clips
    watcher: Watcher
    eyes: Eyes
    recovery: Recovery
    alerts: Alerts
    continuity: Continuity | None
    rails: Mapping[str, Rail]
    now: Callable[[], int]


@asynccontextmanager
async def open_app(
    settings: Settings,
    *,
    wallet: Wallet | None = None,
    sandbox: bool = False,
    outlived: bool = False,
    heard: bool = True,
) -> AsyncIterator[App]:
    """Open ledger, wallet and HTTP clients; nothing is asked of the network.

    ``wallet`` replaces the operator's, and must be given for the ``sandbox``. ``outlived``: clips that are paid are
    saved even if this process is killed. ``heard``: somebody reads its stderr. Raises InvalidSettings, LedgerError.
    """
    async with AsyncExitStack() as stack:
        given = sandbox or wallet is not None
        wallet = wallet if given else await run_sync(load_wallet, settings)
        database = await open_ledger(settings, "sandbox" if sandbox else "real")
        stack.push_async_callback(database.close)
        # Two clients, so that nothing of one side (a cookie, a connection) is ever seen by the other.
        seller = await stack.enter_async_context(_http(ANSWER_SECONDS, reuse=False))
        world = await stack.enter_async_context(_http(ANSWER_SECONDS))
        owner = f"{os.getpid()}-{secrets.token_hex(8)}"
        await database.hold(owner)
        login = WalletLogin(wallet, settings.studio_url) if wallet else None
        studio = Studio(seller, settings.studio_url, settings.blob_url, login, patience=ANSWER_SECONDS)
        policy = PolicyFile(
            settings.policy,
            named=settings.policy_named,
            writable=(*settings.image_roots, settings.output_dir),
            database=database,
        )
        rails = make_rails(settings, world, wallet.address if wallet else None)
        recovery = Recovery(studio=studio, database=database, rails=rails, policy=policy.current, owner=owner, now=now)
        sender = Sender(
            studio=studio, database=database, wallet=wallet, rails=rails, recovery=recovery, owner=owner, now=now
        )
        # A key that lies in no file has no place beside it for a mark.
        marker = None if given or settings.private_key is not None else Marker(settings.keystore)
        continuity = (
            Continuity(
                database=database, rails=rails, policy=policy.current, payer=wallet.address, marker=marker, now=now
            )
            if wallet
            else None
        )
        webhook = await stack.enter_async_context(open_webhook(settings, now))
        alerts = Alerts(database=database, policy=policy.current, webhook=webhook, now=now, heard=heard)
        corridor = Corridor(
            studio=studio,
            database=database,
            wallet=wallet,
            policy=policy.current,
            rails=rails,
            continuity=continuity,
            sender=sender,
            recovery=recovery,
            owner=owner,
            now=now,
            quoted=lambda quote: alerts.see(recipients(studio.origin, quote)),
            closed=settings.keystore if wallet is None and settings.keystore.exists() else None,
        )
        fetcher = Fetcher(world, _own_hosts(settings))
        eyes = Eyes(database, fetcher)
        uploads = Uploads(corridor, fetcher, settings.image_roots, settings.agent)
        watcher = Watcher(
            studio=studio,
            database=database,
            fetcher=fetcher,
            recovery=recovery,
            output_dir=settings.output_dir,
            interval=SANDBOX_POLL_SECONDS if sandbox else POLL_SECONDS,
            owner=owner,
            now=now,
            eyes=eyes,
        )
        heir = Heir(settings.private_key) if outlived else None
        clips = Clips(corridor, uploads, settings.agent, settings.output_dir, heir)
        try:
            yield App(
                settings,
                database,
                wallet,
                policy,
                corridor,
                uploads,
                clips,
                watcher,
                eyes,
                recovery,
                alerts,
                continuity,
                rails,
                now,
            )
        finally:
            if heir is not None:
                with CancelScope(shield=True):
                    await _leave(heir, database)
            await alerts.finish()


async def _leave(heir: Heir, database: Database) -> None:
    with suppress(LedgerError):
        clips, _ = await database.read(jobs.left)
        if clips == 0:
            heir.dismiss()


@asynccontextmanager
async def open_rails(settings: Settings, owner: str | None) -> AsyncIterator[Mapping[str, Rail]]:
    """The rails alone, for reading what ``owner`` has."""
    async with _http(ANSWER_SECONDS) as world:
        yield make_rails(settings, world, owner)


def make_rails(settings: Settings, world: httpx.AsyncClient, owner: str | None) -> Mapping[str, Rail]:
    """Each rail by its name; ``owner`` is the address whose balances are read."""
    base = Chain([AuthorizationHost(world, url, BASE_USDC.chain_id) for url in _distinct(settings.base_rpc_urls)])
    tempo = Chain([MemoHost(world, url, TEMPO_USDCE.chain_id) for url in _distinct(settings.tempo_rpc_urls)])
    rails = (
        BaseRail(BASE_USDC, base, Balance(base, BASE_USDC.address, owner, now)),
        TempoRail(TEMPO_USDCE, tempo, Balance(tempo, TEMPO_USDCE.address, owner, now)),
    )
    return {rail.name: rail for rail in rails}


def _distinct(urls: Sequence[str]) -> list[str]:
    """Each host once: naming one twice makes no second opinion."""
    return list(dict.fromkeys(url.rstrip("/") for url in urls))


@asynccontextmanager
async def open_sandbox(settings: Settings, *, generation: int, faults: Sequence[str] = ()) -> AsyncIterator[App]:
    """The app on an embedded seller, with a throw-away funded wallet and, unless one is named, a throw-away ledger."""
    from seedance_mcp.sandbox import Faults, Sandbox, serve  # noqa: PLC0415 - renders clips, and only here

    wallet = Wallet.create()
    sandbox = Sandbox(generation=generation, faults=Faults(uploads=False, **dict(FAULTS[name] for name in faults)))
    sandbox.fund(wallet.address, SANDBOX_FUNDS)
    with TemporaryDirectory(prefix="seedance-sandbox-", ignore_cleanup_errors=True) as folder:
        ledger = settings.ledger if settings.ledger_named else f"sqlite:{folder}/ledger.db"
        async with (
            serve(sandbox) as origin,
            open_app(settings.at(origin, ledger), wallet=wallet, sandbox=True) as app,
        ):
            yield app


def load_wallet(settings: Settings) -> Wallet | None:
    """The operator's wallet, or None where there is none that can be opened without asking. Raises InvalidSettings."""
    if settings.private_key is not None:
        try:
            return Wallet.from_hex(settings.private_key.strip())
        except ValueError as error:
            raise InvalidSettings(f"SEEDANCE_PRIVATE_KEY cannot be used: {error}") from None
    if not settings.keystore.exists():
        return None
    password = find_password(settings)
    return None if password is None else Wallet.from_keystore(settings.keystore, password)


def _http(seconds: int, *, reuse: bool = True) -> httpx.AsyncClient:
    """A client that waits ``seconds``. Without ``reuse`` each request has a connection of its own: one that the other
    side closes while a payment is on its way would leave nobody knowing whether it arrived."""
    # It logs whole URLs, and those of an RPC host or of a clip can be a secret.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # No proxy, certificate or netrc setting of the environment may stand between a signature and the seller.
    return httpx.AsyncClient(
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(seconds, connect=10),
        limits=httpx.Limits(max_keepalive_connections=20 if reuse else 0),
        headers={"user-agent": f"seedance-mcp/{__version__}"},
    )


def _own_hosts(settings: Settings) -> frozenset[str]:
    """The seller's own hosts as far as they are on this machine, where a public address cannot be asked for."""
    urls = (urlsplit(settings.studio_url), urlsplit(settings.blob_url))
    return frozenset(
        f"{url.hostname}:{url.port or (443 if url.scheme == 'https' else 80)}"
        for url in urls
        if url.hostname in LOOPBACK
    )
