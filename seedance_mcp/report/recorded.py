"""The history of a ledger, in the terms of the guard: what was decided, and how each payment counted afterwards."""

import json
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from seedance_mcp.guard.books import Standing
from seedance_mcp.guard.simulation import Decided
from seedance_mcp.guard.usage import Outcome, Proposal, Usage, Verdict
from seedance_mcp.ledger.database import Row, Transaction
from seedance_mcp.ledger.states import OPEN, UNCOUNTED, State

Entry = Mapping[str, Any]


def history(tx: Transaction) -> list[Decided | Standing]:
    """Every decision and every change of a payment, in the order of the audit chain. Reads the ledger whole."""
    rows = tx.all(
        """SELECT payments.*, lower(hex(purchases.key)) AS key, purchases.kind
           FROM payments JOIN purchases ON purchases.id = payments.purchase ORDER BY payments.id"""
    )
    entries = [json.loads(row["entry"]) for row in tx.all("SELECT entry FROM audit ORDER BY seq")]
    return list(_History(rows).events(entries))


class _History:
    def __init__(self, rows: list[Row]) -> None:
        self._rows = {row["id"]: row for row in rows}
        self._costs: dict[int, int] = {}
        """What was reserved: the fee is a bound at first."""
        self._reserved: dict[tuple[str, int], deque[Row]] = defaultdict(deque)
        for row in rows:
            self._reserved[row["key"], row["reserved_at"]].append(row)

    def events(self, entries: Sequence[Entry]) -> Iterator[Decided | Standing]:
        nothing: Entry = {}
        for entry, after in zip(entries, [*entries[1:], nothing], strict=False):
            match entry["event"]:
                case "decision":
                    # The answer is used in the transaction of the decision, so nothing can come between them.
                    yield self._decided(entry, approved=after.get("event") == "approval used")
                case "move" | "entry":
                    yield self._standing(self._rows[entry["payment"]], State(entry["to"]))

    def _decided(self, entry: Entry, *, approved: bool) -> Decided:
        verdict = Verdict(Outcome(entry["verdict"]), entry["code"], entry["reason"])
        reserved = None
        if (approved or verdict.outcome is Outcome.ALLOW) and (rows := self._reserved[entry["key"], entry["at"]]):
            row = rows.popleft()
            self._costs[row["id"]] = entry["amount"] + entry["fee"]
            reserved = self._standing(row, State.RESERVED)
        proposal, usage = entry.get("proposal"), entry.get("usage")
        return Decided(
            at=entry["at"],
            key=entry["key"],
            agent=entry["agent"],
            model=entry["model"],
            cost=entry["amount"] + entry["fee"],
            verdict=verdict,
            proposal=Proposal(**proposal) if proposal else None,
            usage=Usage(**usage, spent={}) if usage else None,
            approved=approved,
            reserved=reserved,
        )

    def _standing(self, row: Row, state: State) -> Standing:
        cost = row["amount"] + row["fee"]
        if state is not State.SETTLED:
            cost = self._costs.get(row["id"], cost)
        return Standing(
            payment=row["id"],
            agent=row["agent"],
            model=row["model"],
            rail=row["rail"],
            cost=cost,
            counted_at=_counted_at(row, state),
            unknown=state is State.UNKNOWN,
            gone=state in UNCOUNTED,
            fee_of=int(row["purchase"].removeprefix("fee_")) if row["kind"] == "fee" else None,
        )


def _counted_at(row: Row, state: State) -> int | None:
    """What the ledger had in ``counted_at`` while the payment was in ``state``; it keeps only the last one."""
    if state in OPEN | UNCOUNTED:
        return None
    return int(row["counted_at"]) if state is State.SETTLED else int(row["deadline"]) * 1000
