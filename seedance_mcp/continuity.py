"""No fresh budget by accident: a new, second or older ledger does not forget what the wallet has spent."""

import json
import logging
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

from seedance_mcp.chain import Block, Outgoing
from seedance_mcp.chain.scanning import scan
from seedance_mcp.errors import ChainError, InvalidPolicy, LedgerError
from seedance_mcp.guard.policy import Policy
from seedance_mcp.guard.usage import WINDOWS
from seedance_mcp.ledger import audit, entries, operator
from seedance_mcp.ledger.database import Database
from seedance_mcp.rails.rail import Rail
from seedance_mcp.timing import at_most

SCAN_SECONDS = 15
PROBE_SECONDS = 3
AGAIN_SECONDS = 60
_ANEW = "Ask the operator to bring the newest ledger back, or to run `seedance-mcp reconcile --new-ledger`."

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mark:
    """The ledger that a wallet paid with last, and how far its audit chain went. No ``ledger``: a new wallet."""

    ledger: str | None = None
    rows: int = 0
    head: str = ""


class Marker:
    """A mark beside the key, so that it survives the ledger's disk."""

    def __init__(self, keystore: Path) -> None:
        self.path = keystore.with_name(f"{keystore.stem}-ledger.json")

    def read(self) -> Mark | None:
        """None where there is none. Raises LedgerError."""
        try:
            return Mark(**json.loads(self.path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError):
            raise LedgerError(f"the mark beside the key, {self.path}, cannot be read", next=_ANEW) from None

    def write(self, mark: Mark) -> None:
        """Replace the mark, durably. Raises OSError."""
        fresh = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        try:
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                json.dump(asdict(mark), file)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise


@dataclass
class _Scanned:
    """How far a scan has come that no call had the time for: a month of a fast chain is hundreds of questions.

    ``window`` in milliseconds, ``next`` is the first block that is still to be looked at.
    """

    window: int
    next: int
    found: list[entries.Seen] = field(default_factory=list)


class Continuity:
    """Looks up what the wallet at ``payer`` spent elsewhere before anything is signed over this ledger.

    Without a ``marker`` (a key that lies in no file) only the chain can tell. ``now`` gives epoch milliseconds.
    """

    def __init__(
        self,
        *,
        database: Database,
        rails: Mapping[str, Rail],
        policy: Callable[[], Awaitable[Policy]],
        payer: str,
        marker: Marker | None,
        now: Callable[[], int],
    ) -> None:
        self._database = database
        self._rails = rails
        self._policy = policy
        self._payer = payer
        self._marker = marker
        self._now = now
        self._scanning = anyio.Lock()
        self._failed_at: dict[str, int] = {}
        self._scanned: dict[str, _Scanned] = {}

    async def require(self) -> None:
        """Raises LedgerError for a ledger that is older than the one paid with last, or while another one's payments
        are not known.

        A wallet of which nothing is known anywhere may pay although no host of its chain can be asked: the scan is made
        up for as soon as one answers.
        """
        elsewhere = await self._was_used_elsewhere()
        with anyio.move_on_after(at_most(SCAN_SECONDS)) as scope:
            missing = [rail.name for rail in self._rails.values() if not await self._is_known(rail)]
        if scope.cancelled_caught:
            raise LedgerError(
                "what this wallet spent before this ledger is still being looked up",
                next="Call again: it goes on from there.",
            )
        if elsewhere and missing:
            raise LedgerError(
                f"this wallet paid with another ledger last, and its payments over {' and '.join(missing)} cannot be "
                "looked up",
                next=_ANEW,
            )
        if elsewhere:
            await self.record()

    async def record(self) -> None:
        """Write down beside the key how far this ledger goes."""
        if self._marker is None:
            return
        identity = await self._database.read(operator.ledger_id)
        rows, head = await self._database.read(audit.head)
        try:
            await run_sync(self._marker.write, Mark(identity, rows, head.hex()))
        except OSError as error:
            logger.warning("The mark beside the key cannot be written (%s): an old ledger would go unnoticed", error)

    async def begin_anew(self) -> list[str]:
        """The operator vouches for this ledger, whatever is beside the key; what was found out for each rail."""
        told = []
        await self._database.write(entries.doubt, self._payer, self._now())
        for rail in self._rails.values():
            if not await self._is_known(rail):
                await self._database.write(entries.vouch, self._payer, rail.token.network, "vouched", self._now())
                told.append(f"{rail.name}: no host could be asked; taken as you say")
            else:
                told.append(f"{rail.name}: the chain was asked")
        await self.record()
        return told

    async def _was_used_elsewhere(self) -> bool:
        mark = await run_sync(self._marker.read) if self._marker is not None else None
        if mark is None:
            return False
        if mark.ledger is None:
            for rail in self._rails.values():
                if not await self._database.read(entries.is_known, self._payer, rail.token.network):
                    await self._database.write(entries.vouch, self._payer, rail.token.network, "new", self._now())
            return False
        if mark.ledger != await self._database.read(operator.ledger_id):
            await self._database.write(entries.doubt, self._payer, self._now())
            return True
        if not await self._database.read(audit.holds, mark.rows, bytes.fromhex(mark.head)):
            raise LedgerError("this ledger is older than the one that this wallet paid with last", next=_ANEW)
        return False

    async def _is_known(self, rail: Rail) -> bool:
        async with self._scanning:
            if await self._database.read(entries.is_known, self._payer, rail.token.network):
                return True
            if self._now() - self._failed_at.get(rail.name, 0) < AGAIN_SECONDS * 1000:
                return False
            try:
                found = await self._scan(rail)
            except ChainError as error:
                self._failed_at[rail.name] = self._now()
                logger.warning("What this wallet spent before this ledger is not known: %s", error.what)
                return False
            count = await self._database.write(entries.scanned, found, self._payer, rail.token.network, self._now())
            if count:
                logger.warning("%d earlier transfers of this wallet over %s are counted", count, rail.name)
            return True

    async def _scan(self, rail: Rail) -> list[entries.Seen]:
        """Every transfer out of the wallet within the longest window of the policy. Raises ChainError."""
        try:
            with anyio.fail_after(PROBE_SECONDS):
                latest = await rail.chain.latest()
        except TimeoutError:
            raise ChainError(f"no host of {rail.name} answered in time") from None
        window = await self._longest_window()
        so_far = self._scanned.get(rail.name)
        if so_far is None or so_far.window < window:
            first = await rail.chain.block_before(latest.timestamp - window // 1000, latest)
            so_far = self._scanned[rail.name] = _Scanned(window, first)
        async for last, some in scan(
            lambda first, last: rail.outgoing(self._payer, first, last), so_far.next, latest.number
        ):
            # Anybody can make a token say that a wallet has sent nothing.
            so_far.found += [await self._seen(rail, transfer) for transfer in some if transfer.amount > 0]
            so_far.next = last + 1
        del self._scanned[rail.name]
        return so_far.found

    async def _seen(self, rail: Rail, transfer: Outgoing) -> entries.Seen:
        block: Block = await rail.chain.block(transfer.block)
        return entries.Seen(
            rail=rail.name,
            network=rail.token.network,
            token=rail.token.address,
            payer=self._payer,
            to=transfer.to,
            amount=transfer.amount,
            transaction=transfer.transaction,
            index=transfer.index,
            at=block.timestamp * 1000,
            marks=await rail.marks(transfer.transaction),
        )

    async def _longest_window(self) -> int:
        """Milliseconds. A limit on everything begins with the ledger, so that it reaches back as far as a month."""
        named = {"day"}
        with suppress(InvalidPolicy):
            policy = await self._policy()
            for caps in (policy.caps, *policy.models.values(), *policy.agents.values()):
                named |= {window for window, _ in (*caps.money(), *caps.counts())}
        month = WINDOWS["month"]
        assert month is not None
        return max(WINDOWS[window] or month for window in named)
