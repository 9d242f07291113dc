"""Statements on what a human is asked before a payment. A yes is for just what was asked, and for one payment."""

from collections.abc import Callable
from dataclasses import dataclass

from seedance_mcp.guard.usage import Outcome, Usage, Verdict
from seedance_mcp.ledger import audit
from seedance_mcp.ledger.database import Transaction
from seedance_mcp.ledger.states import DAY, Approval, Intent, Purchase
from seedance_mcp.ledger.views import find, must


@dataclass(frozen=True, slots=True)
class Asking:
    """How to ask: ``expires`` is how many milliseconds an answer may take, ``question`` what is asked."""

    expires: int
    question: Callable[[Usage, Verdict], str]


def declined(tx: Transaction, intent: Intent, now: int) -> Verdict | None:
    """The refusal of what a human has refused within the last day."""
    row = tx.one(
        """SELECT approvals.answered_by FROM approvals JOIN purchases ON purchases.id = approvals.purchase
           WHERE purchases.key = :key AND approvals.answer = 'denied' AND approvals.answered_at > :since""",
        key=intent.key, since=now - DAY,
    )  # fmt: skip
    if row is None:
        return None
    return Verdict(
        Outcome.REFUSE,
        "denied",
        f"{row['answered_by']} said no to this very purchase, which holds for 24 hours",
        "Do not ask again; ask for something else, or talk to the operator.",
    )


def is_granted(last: Purchase | None, intent: Intent, now: int) -> bool:
    """Whether a human agreed to just these terms, and the answer was not used yet."""
    if last is None or last.approval is None or not _same_terms(last, intent):
        return False
    approval = last.approval
    return approval.answer == "approved" and approval.used_at is None and now < approval.expires_at


def is_waiting(last: Purchase | None, intent: Intent, now: int) -> bool:
    """Whether just this is being asked already."""
    if last is None or last.approval is None or not _same_terms(last, intent):
        return False
    return last.approval.answer is None and now < last.approval.expires_at


def ask(tx: Transaction, purchase: Purchase, question: str, expires_at: int, now: int) -> None:
    """Put a question about the purchase's newest payment, in place of an earlier one."""
    tx.do(
        """INSERT INTO approvals (purchase, question, asked_at, expires_at) VALUES (:id, :question, :now, :until)
           ON CONFLICT (purchase) DO UPDATE SET question = excluded.question, asked_at = excluded.asked_at,
           expires_at = excluded.expires_at, answer = NULL, answered_at = NULL, answered_by = NULL, used_at = NULL""",
        id=purchase.id, question=question, now=now, until=expires_at,
    )  # fmt: skip
    facts = {"purchase": purchase.id, "payment": purchase.payment.id, "question": question, "expires_at": expires_at}
    audit.append(tx, "question", now, facts)


def answer(tx: Transaction, asked: Approval, *, approved: bool, by: str, now: int) -> Purchase | None:
    """Write down the answer to the very question that was ``asked``; None where that one does not wait any more.

    Another price or recipient is asked about in its place, and an answer is for what its human has read. A yes lasts as
    long as a question does.
    """
    word = "approved" if approved else "denied"
    answered = tx.do(
        """UPDATE approvals SET answer = :word, answered_at = :now, answered_by = :by,
                  expires_at = :now + expires_at - asked_at
           WHERE purchase = :id AND question = :question AND asked_at = :asked_at AND answer IS NULL
             AND expires_at > :now""",
        id=asked.purchase, question=asked.question, asked_at=asked.asked_at, word=word, by=by, now=now,
    )  # fmt: skip
    if not answered:
        return None
    audit.append(tx, "answer", now, {"purchase": asked.purchase, "answer": word, "by": by})
    return must(find(tx, asked.purchase))


def use(tx: Transaction, purchase_id: str, now: int) -> None:
    """The answer is used up, and never comes back."""
    tx.do("UPDATE approvals SET used_at = :now WHERE purchase = :id", id=purchase_id, now=now)
    audit.append(tx, "approval used", now, {"purchase": purchase_id})


def waiting(tx: Transaction, now: int) -> list[Purchase]:
    """Every purchase that waits for an answer, oldest first."""
    rows = tx.all(
        "SELECT purchase FROM approvals WHERE answer IS NULL AND expires_at > :now ORDER BY asked_at", now=now
    )
    return [must(find(tx, row["purchase"])) for row in rows]


def _same_terms(last: Purchase, intent: Intent) -> bool:
    asked = last.payment
    terms = (asked.amount, asked.fee, asked.pay_to, asked.token, asked.policy)
    return terms == (intent.amount, intent.fee, intent.pay_to, intent.token, intent.policy)
