"""Looks at the ledger whenever something happened in it, and says and sends what the operator has to know."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

import anyio

from seedance_mcp.alerts.happenings import (
    Recipient,
    is_among,
    known_recipients,
    strange_recipient,
    unknown_payment,
)
from seedance_mcp.alerts.thresholds import needed, thresholds
from seedance_mcp.alerts.webhook import Webhook
from seedance_mcp.background import going_on
from seedance_mcp.errors import InvalidPolicy
from seedance_mcp.guard.policy import Policy
from seedance_mcp.ledger import alerts, audit, views
from seedance_mcp.ledger.alerts import RECIPIENT, Alert
from seedance_mcp.ledger.database import Database, Transaction
from seedance_mcp.ledger.states import DAY
from seedance_mcp.orders import SHIPPED_PAY_TO

PULSE = 1
"""Seconds between two looks at the end of the audit chain, which grows with everything that happens to money."""
ANYWAY = 30
"""Seconds after which the ledger is looked at though nothing happened: windows roll on, and processes die."""
LAST_SECONDS = 3
"""How long the end of a process may wait for the webhook. What is not sent then waits for the next process."""
MOST_RECIPIENTS = 20
"""Strangers that are kept in mind between two looks, and told of in a day: a seller may name a new one each time."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Survey:
    """What to change: alerts to raise, rows of those that are over; and whether one waits to be told."""

    raised: Sequence[Alert]
    over: Sequence[int]
    untold: bool


class Alerts:
    """``policy`` is the policy in force or raises, ``now`` gives epoch milliseconds; without ``webhook`` alerts are
    said on stderr alone. A process that is not ``heard``, its stderr being read by nobody, leaves that to another.
    Whatever fails here is logged, and fails nothing else."""

    def __init__(
        self,
        *,
        database: Database,
        policy: Callable[[], Awaitable[Policy]],
        webhook: Webhook | None,
        now: Callable[[], int],
        heard: bool = True,
    ) -> None:
        self._database = database
        self._policy = policy
        self._webhook = webhook
        self._now = now
        self._heard = heard
        self._seen: dict[Recipient, None] = {}
        self._row: int | None = None
        self._looked_at = 0.0
        self._sending = anyio.Lock()

    def see(self, recipients: Iterable[Recipient]) -> None:
        """A challenge named them; whether one is a stranger is found out later."""
        for recipient in recipients:
            if len(self._seen) < MOST_RECIPIENTS:
                self._seen[recipient] = None
                self._row = None

    async def run(self) -> None:
        """Look and send until cancelled. A webhook that hangs delays what is sent, and not what is said."""
        async with anyio.create_task_group() as group:
            while True:
                with going_on(logger, "alerts"):
                    if await self._is_news():
                        await self.look()
                if not self._sending.locked():
                    group.start_soon(self._deliver)
                await anyio.sleep(PULSE)

    async def finish(self) -> None:
        """A last look, and a bounded attempt to send what waits."""
        with anyio.move_on_after(LAST_SECONDS, shield=True):
            with going_on(logger, "alerts"):
                await self.look()
            await self._deliver()

    async def look(self) -> None:
        """Raise what has happened, end what is over, and say what no process has said. Raises LedgerError."""
        # A look that fails for good is not made again, and logged, with every pulse.
        self._looked_at = anyio.current_time()
        self._row, _ = await self._database.read(audit.head)
        seen = list(self._seen)
        survey = await self._database.read(_survey, await self._rules(), seen, self._now())
        if survey.raised or survey.over or (survey.untold and self._heard):
            for message in await self._database.write(_record, survey, self._heard, self._now()):
                logger.warning("Alert: %s", " ".join(message.split()))
        for recipient in seen:
            self._seen.pop(recipient, None)

    async def _is_news(self) -> bool:
        if anyio.current_time() - self._looked_at > ANYWAY:
            return True
        return (await self._database.read(audit.head))[0] != self._row

    async def _rules(self) -> Policy | None:
        try:
            return await self._policy()
        except InvalidPolicy:
            return None  # nothing is bought then; what was paid is looked after all the same

    async def _deliver(self) -> None:
        if self._webhook is None:
            return
        async with self._sending:
            with going_on(logger, "alerts"):
                await self._webhook.deliver(self._database)


def _survey(tx: Transaction, policy: Policy | None, seen: Sequence[Recipient], now: int) -> Survey:
    """Of one snapshot: an alert that another process raises meanwhile is not taken for one that is over."""
    happened = [unknown_payment(payment) for payment in alerts.unanswered(tx, now)]
    below: list[str] = []
    strangers: list[Alert] = []
    if policy is not None:
        # The sums are of all rails; the one that is left out here is for what this is not about.
        levels = thresholds(policy, views.usage(tx, needed(policy), "", "", "", now))
        happened += [level.alert() for level in levels if level.is_reached]
        below = [level.happening for level in levels if not level.is_reached]
        strangers = _strangers(tx, policy, seen, now)
    stands = alerts.standing(tx, [*(alert.happening for alert in happened), *below])
    return Survey(
        [*(alert for alert in happened if alert.happening not in stands), *strangers],
        [stands[happening] for happening in below if happening in stands],
        bool(alerts.untold(tx, now)),
    )


def _strangers(tx: Transaction, policy: Policy, seen: Sequence[Recipient], now: int) -> list[Alert]:
    """Those of whom nobody was told today, as far as this day has room for them."""
    found: dict[str, Alert] = {}
    for one in seen:
        pinned = views.usage(tx, (), one.seller, one.rail, one.token, now).pinned
        known = known_recipients(policy, pinned, SHIPPED_PAY_TO)
        if one.rail in policy.rails and not is_among(one.pay_to, known):
            alert = strange_recipient(one, known, now, listed=policy.pay_to is not None)
            found.setdefault(alert.happening, alert)
    stands = alerts.standing(tx, found)
    new = [alert for happening, alert in found.items() if happening not in stands]
    return new[: max(MOST_RECIPIENTS - alerts.standing_since(tx, RECIPIENT, now - DAY), 0)]


def _record(tx: Transaction, survey: Survey, heard: bool, now: int) -> list[str]:
    """The messages that are the caller's to say, none if it is not ``heard``."""
    alerts.prune(tx, now)
    for row in survey.over:
        alerts.end(tx, row)
    for alert in survey.raised:
        alerts.add(tx, alert, now)
    return alerts.take_untold(tx, now) if heard else []
