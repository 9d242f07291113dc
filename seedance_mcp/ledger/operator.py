"""Statements of the operator: freeze, trust, and quotes kept for the agent."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from seedance_mcp.ledger import audit
from seedance_mcp.ledger.database import Transaction
from seedance_mcp.ledger.views import must


@dataclass(frozen=True, slots=True)
class Quote:
    """A price that was shown. ``terms`` are what it binds; ``expires_at`` epoch milliseconds."""

    id: str
    agent: str
    terms: Mapping[str, object]
    price: int
    expires_at: int


def freeze(tx: Transaction, why: str, now: int) -> None:
    tx.do("UPDATE ledger SET frozen = :why", why=why)
    audit.append(tx, "freeze", now, {"why": why})


def unfreeze(tx: Transaction, now: int) -> bool:
    """False when nothing was frozen."""
    if tx.do("UPDATE ledger SET frozen = NULL WHERE frozen IS NOT NULL") == 0:
        return False
    audit.append(tx, "unfreeze", now, {})
    return True


def trust(tx: Transaction, *, origin: str, rail: str, token: str, pay_to: str, now: int) -> str | None:
    """Pin a recipient; the one that was pinned before."""
    key = {"origin": origin, "rail": rail, "token": token}
    row = tx.one("SELECT pay_to FROM pins WHERE origin = :origin AND rail = :rail AND token = :token", **key)
    tx.do(
        """INSERT INTO pins (origin, rail, token, pay_to, trusted_at) VALUES (:origin, :rail, :token, :pay_to, :now)
           ON CONFLICT (origin, rail, token)
           DO UPDATE SET pay_to = excluded.pay_to, trusted_at = excluded.trusted_at""",
        **key,
        pay_to=pay_to,
        now=now,
    )
    audit.append(tx, "trust", now, key | {"pay_to": pay_to})
    return row["pay_to"] if row else None


def accept_generation(tx: Transaction, generation: int, now: int) -> None:
    """The operator knows of the seller's new API: its price rows may be used without asking."""
    tx.do("UPDATE ledger SET generation = :generation", generation=generation)
    audit.append(tx, "generation", now, {"generation": generation})


def keep_quote(tx: Transaction, quote: Quote, now: int) -> None:
    tx.do("DELETE FROM quotes WHERE expires_at < :now", now=now - 86_400_000)
    tx.do(
        "INSERT INTO quotes (id, agent, terms, price, expires_at) VALUES (:id, :agent, :terms, :price, :expires_at)",
        id=quote.id,
        agent=quote.agent,
        terms=audit.canonical(quote.terms),
        price=quote.price,
        expires_at=quote.expires_at,
    )


def quote(tx: Transaction, quote_id: str) -> Quote | None:
    row = tx.one("SELECT * FROM quotes WHERE id = :id", id=quote_id)
    return Quote(**{**row, "terms": json.loads(row["terms"])}) if row else None


def ledger_id(tx: Transaction) -> str:
    return str(must(tx.one("SELECT id FROM ledger"))["id"])


def policy_seen(tx: Transaction, *, file: bool) -> bool:
    """Whether this ledger ever worked under a policy file; ``file`` says that it does now."""
    if file:
        tx.do("UPDATE ledger SET policy_seen = 1")
    return bool(must(tx.one("SELECT policy_seen FROM ledger"))["policy_seen"])
