"""Decide and write down, in one transaction: nothing is reserved that was not decided on what the ledger holds then."""

import secrets
from collections.abc import Callable, Sequence

from seedance_mcp.guard.usage import Outcome, Usage, Verdict
from seedance_mcp.ledger import approvals, audit
from seedance_mcp.ledger.database import Transaction
from seedance_mcp.ledger.payments import beat, move, release_abandoned
from seedance_mcp.ledger.states import NEVER, Intent, Purchase, State
from seedance_mcp.ledger.views import UNRESOLVED, find, latest, must, next_serial, rail_of, usage

Rule = Callable[[Usage], Verdict]


def reserve(
    tx: Transaction,
    intent: Intent,
    needed: Sequence[tuple[str, str]],
    rule: Rule,
    owner: str,
    now: int,
    asking: approvals.Asking | None = None,
) -> Purchase | Verdict:
    """Decide and write down, or decide and refuse, in one transaction.

    Answers the purchase in state ``reserved`` and owned by ``owner``; or in state ``intended``, where a human has to be
    asked (``asking``: how) and has not answered; or, where a repeated call meets its first purchase, that one as it
    stands; or the verdict that is not to allow. ``needed`` names the (scope, window) sums that ``rule`` wants to see.
    """
    release_abandoned(tx, owner, now)
    last = latest(tx, intent.key)
    if last is not None and last.answers(now) and last.id != intent.replaces:
        return last
    verdict, seen = _decide(tx, intent, needed, rule, now)
    _note(tx, "decision", now, intent, seen, verdict=str(verdict.outcome), code=verdict.code, reason=verdict.reason)
    if verdict.outcome is Outcome.ASK and asking is not None and seen is not None:
        if approvals.is_waiting(last, intent, now):
            return must(last)
        if not approvals.is_granted(last, intent, now):
            return _ask(tx, intent, last, asking, asking.question(seen, verdict), now)
        approvals.use(tx, must(last).id, now)
    elif verdict.outcome is not Outcome.ALLOW:
        return verdict
    tx.do("UPDATE ledger SET clock = max(clock, :now)", now=now)
    beat(tx, owner, now)
    purchase_id = _new_attempt(tx, intent, last, State.RESERVED, owner, now)
    if seen is None or seen.pinned is None:
        _pin(tx, intent, now)
    return must(find(tx, purchase_id))


def consent(
    tx: Transaction,
    intent: Intent,
    needed: Sequence[tuple[str, str]],
    rule: Rule,
    asking: approvals.Asking,
    now: int,
) -> Purchase | Verdict | None:
    """Ask what ``reserve`` would ask, before something else is paid for this purchase's sake.

    None where nothing stands in its way now; else the purchase that waits for an answer, or the refusal.
    """
    last = latest(tx, intent.key)
    verdict, seen = _decide(tx, intent, needed, rule, now)
    if verdict.outcome is Outcome.REFUSE or seen is None:
        return verdict
    if verdict.outcome is Outcome.ALLOW or approvals.is_granted(last, intent, now):
        return None
    if approvals.is_waiting(last, intent, now):
        return must(last)
    _note(tx, "decision", now, intent, seen, verdict=str(verdict.outcome), code=verdict.code, reason=verdict.reason)
    return _ask(tx, intent, last, asking, asking.question(seen, verdict), now)


def foresee(
    tx: Transaction, intent: Intent, needed: Sequence[tuple[str, str]], rule: Rule, now: int
) -> tuple[Verdict, Usage]:
    """What ``reserve`` would decide now, were this the first call, and what counts. Writes nothing."""
    last = latest(tx, intent.key)
    verdict, seen = _decide(tx, intent, needed, rule, now)
    if verdict.outcome is Outcome.ASK and approvals.is_granted(last, intent, now):
        verdict = Verdict(Outcome.ALLOW, "approved", "a human has approved just this")
    return verdict, seen or usage(tx, needed, intent.origin, intent.rail, intent.token, now)


def _decide(
    tx: Transaction, intent: Intent, needed: Sequence[tuple[str, str]], rule: Rule, now: int
) -> tuple[Verdict, Usage | None]:
    """The verdict, with the usage that it was made of; without, where something else came first."""
    sibling = tx.one(
        f"SELECT purchases.id FROM payments JOIN purchases ON purchases.id = payments.purchase "
        f"WHERE purchases.subject = :subject AND purchases.key <> :key AND {UNRESOLVED}",
        subject=intent.subject,
        key=intent.key,
        now=now,
    )
    if sibling is not None:
        return Verdict(
            Outcome.REFUSE,
            "other_take_unresolved",
            f"the payment of another take of this clip ({sibling['id']}) has an unknown outcome",
            "Call check_job until it is resolved.",
        ), None
    bound = rail_of(tx, intent.key)
    if bound not in (None, intent.rail):
        return Verdict(
            Outcome.REFUSE,
            "rail_closed",
            f"this purchase was signed for over {bound} before, and stays there",
            "Call again.",
        ), None
    refused = approvals.declined(tx, intent, now)
    if refused is not None:
        return refused, None
    seen = usage(tx, needed, intent.origin, intent.rail, intent.token, now)
    return rule(seen), seen


def _ask(
    tx: Transaction, intent: Intent, last: Purchase | None, asking: approvals.Asking, question: str, now: int
) -> Purchase:
    """Write down what would be paid, and ask."""
    purchase_id = _new_attempt(tx, intent, last, State.INTENDED, "", now)
    approvals.ask(tx, must(find(tx, purchase_id)), question, now + asking.expires, now)
    return must(find(tx, purchase_id))


def _new_attempt(tx: Transaction, intent: Intent, last: Purchase | None, state: State, owner: str, now: int) -> str:
    """The id of the purchase, which goes on from ``last`` where nothing of that was paid."""
    reusable = last if last is not None and last.may_be_paid_again else None
    if reusable is None:
        purchase_id = _new_purchase(tx, intent, state, now)
    else:
        purchase_id = reusable.id
        _take_up(tx, reusable, intent, state, now)
    tx.do(
        """INSERT INTO payments (purchase, attempt, serial, state, owner, agent, model, rail, network, token, origin,
                                 payer, pay_to, amount, fee, policy, reserved_at, counted_at)
           VALUES (:purchase, :attempt, :serial, :state, :owner, :agent, :model, :rail, :network, :token, :origin,
                   :payer, :pay_to, :amount, :fee, :policy, :now, :counted_at)""",
        purchase=purchase_id,
        attempt=reusable.payment.attempt + 1 if reusable else 1,
        serial=intent.serial if last is None else max(next_serial(tx, intent.key), intent.serial),
        state=str(state),
        owner=owner,
        agent=intent.agent,
        model=intent.model,
        rail=intent.rail,
        network=intent.network,
        token=intent.token,
        origin=intent.origin,
        payer=intent.payer,
        pay_to=intent.pay_to,
        amount=intent.amount,
        fee=intent.fee,
        policy=intent.policy,
        now=now,
        counted_at=NEVER if state is State.RESERVED else now,
    )
    return purchase_id


def _take_up(tx: Transaction, purchase: Purchase, intent: Intent, state: State, now: int) -> None:
    if purchase.payment.state is State.INTENDED:
        ends = "ended_at = :now, counted_at = :now"
        move(tx, purchase.payment, State.RELEASED, None, now, ends, why="asked and gone on")
    tx.do(
        "UPDATE purchases SET generation = :generation, closed = :closed WHERE id = :id",
        id=purchase.id, generation=intent.generation, closed=_is_closed(state),
    )  # fmt: skip


def _new_purchase(tx: Transaction, intent: Intent, state: State, now: int) -> str:
    purchase_id = f"pur_{secrets.token_hex(8)}"
    tx.do(
        """INSERT INTO purchases (id, key, subject, agent, model, take, generation, request, created_at, closed)
           VALUES (:id, :key, :subject, :agent, :model, :take, :generation, :request, :now, :closed)""",
        id=purchase_id,
        key=intent.key,
        subject=intent.subject,
        agent=intent.agent,
        model=intent.model,
        take=intent.take,
        generation=intent.generation,
        request=audit.canonical(intent.request),
        now=now,
        closed=_is_closed(state),
    )
    return purchase_id


def _is_closed(state: State) -> bool:
    """Nothing is to come while a human is asked."""
    return state is State.INTENDED


def _pin(tx: Transaction, intent: Intent, now: int) -> None:
    """From now on the seller is paid at this address, until the operator trusts another one."""
    tx.do(
        """INSERT INTO pins (origin, rail, token, pay_to, trusted_at) VALUES (:origin, :rail, :token, :pay_to, :now)
           ON CONFLICT DO NOTHING""",
        origin=intent.origin, rail=intent.rail, token=intent.token, pay_to=intent.pay_to, now=now,
    )  # fmt: skip


def _note(tx: Transaction, event: str, now: int, intent: Intent, seen: Usage | None, **facts: object) -> None:
    if seen is not None:
        # What was spent can be told from the payments themselves, so it is left out.
        names = ("frozen", "clock_ahead", "pinned", "generation", "outstanding", "unresolved")
        facts["usage"] = {name: getattr(seen, name) for name in names}
    audit.append(tx, event, now, {
        "key": intent.key.hex(), "agent": intent.agent, "model": intent.model, "rail": intent.rail,
        "amount": intent.amount, "fee": intent.fee, "pay_to": intent.pay_to, "policy": intent.policy,
        "proposal": intent.proposal, **facts,
    })  # fmt: skip
