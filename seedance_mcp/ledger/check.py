"""Judges a ledger by its own rows: what must hold whatever happened, in any store."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping

from seedance_mcp.guard.usage import RAILS
from seedance_mcp.ledger import audit, refunds
from seedance_mcp.ledger.database import Database, Row, Transaction
from seedance_mcp.ledger.states import MOVES, NEVER, OPEN, PAID, UNCOUNTED, State
from seedance_mcp.ledger.windows import ENDED, WIDTHS


async def check_ledger(database: Database) -> list[str]:
    """Everything that is wrong with the ledger, one sentence each; empty if it is sound. Reads it whole."""
    return await database.read(problems)


def problems(tx: Transaction) -> list[str]:
    return [*_payments(tx), *_purchases(tx), *_totals(tx), *_sums(tx), *_jobs(tx), *_audit(tx)]


def _payments(tx: Transaction) -> Iterator[str]:
    for row in tx.all(
        "SELECT payments.*, kind FROM payments JOIN purchases ON purchases.id = payments.purchase ORDER BY payments.id"
    ):
        name, state = f"payment {row['id']}", State(row["state"])
        if row["kind"] != "bought":
            if state is not State.SETTLED or row["transaction_hash"] is None or row["nonce"] is not None:
                yield f"{name} is an entry of the kind {row['kind']} and {state}"
            continue
        if row["amount"] <= 0 or row["fee"] < 0:
            yield f"{name} has the amount {row['amount']} and the fee {row['fee']}"
        if row["rail"] not in RAILS:
            yield f"{name} went over {row['rail']}, which no sum knows"
        signed = row["nonce"] is not None
        if signed != (state not in {State.INTENDED, State.RESERVED, State.RELEASED}):
            yield f"{name} is {state} {'with' if signed else 'without'} a signature"
        if signed and (row["deadline"] is None or row["body"] is None or row["path"] is None):
            yield f"{name} was signed without a durable record of what was signed"
        if (state in OPEN) != (row["counted_at"] == NEVER):
            yield f"{name} is {state} and counted at {row['counted_at']}"
        if not _counted_in_time(row, state):
            yield f"{name} is {state} and counted at {row['counted_at']}, which its deadline does not allow"
        if state in {State.SETTLED, State.EXPIRED, State.RELEASED, State.WRITTEN_OFF} and row["sealed"] is not None:
            yield f"{name} is final and still keeps its credential"
        if state is State.SETTLED and row["transaction_hash"] is None:
            yield f"{name} is settled without a transaction"


def _counted_in_time(row: Row, state: State) -> bool:
    """Whether a payment that counts is as old as it can be: an older one would give budget back too soon."""
    if state in {State.CLAIMED, State.WRITTEN_OFF}:
        return bool(row["counted_at"] == row["deadline"] * 1000)
    if state is State.SETTLED:
        return bool(row["reserved_at"] <= row["counted_at"] <= row["deadline"] * 1000)
    return True


def _purchases(tx: Transaction) -> Iterator[str]:
    attempts = defaultdict(list)
    for row in tx.all("SELECT purchase, attempt, state FROM payments ORDER BY purchase, attempt"):
        attempts[row["purchase"]].append((row["attempt"], State(row["state"])))
    for row in tx.all("SELECT id FROM purchases"):
        made = attempts.get(row["id"], [])
        if [number for number, _ in made] != list(range(1, max(len(made), 1) + 1)):
            yield f"purchase {row['id']} has the attempts {[number for number, _ in made]}"
        if sum(state not in UNCOUNTED for _, state in made) > 1:
            yield f"purchase {row['id']} has more than one payment that counts"
    for row in tx.all(
        """SELECT purchases.key, count(*) AS n FROM payments JOIN purchases ON purchases.id = payments.purchase
           WHERE payments.standing = 'open' GROUP BY purchases.key HAVING n > 1"""
    ):
        yield f"{row['n']} payments are open for the purchase key {bytes(row['key']).hex()}"


def _totals(tx: Transaction) -> Iterator[str]:
    sums: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for row in tx.all("SELECT model, agent, amount + fee AS cost, state FROM payments"):
        if State(row["state"]) not in UNCOUNTED:
            for scope in ("wallet", f"model:{row['model']}", f"agent:{row['agent']}"):
                amount, count = sums[scope]
                sums[scope] = (amount + row["cost"], count + 1)
    for row in tx.all("SELECT scope, amount, payments FROM totals"):
        stored, summed = (row["amount"], row["payments"]), sums.pop(row["scope"], (0, 0))
        if stored != summed:
            yield f"the total of {row['scope']} is stored as {stored} and sums up to {summed}"
    for scope in sums:
        yield f"the total of {scope} is not stored"


def _sums(tx: Transaction) -> Iterator[str]:
    columns = ("amount", "payments", *RAILS)
    rails = ", ".join(f"-cost * (rail = '{rail}')" for rail in RAILS)
    widths = ", ".join(f"({width})" for width in WIDTHS)
    for row in tx.all(
        f"""WITH widths (width) AS (VALUES {widths}),
                 ended AS (SELECT model, agent, rail, counted_at, amount + fee AS cost FROM payments WHERE {ENDED}),
                 costs AS (SELECT 'wallet' AS scope, rail, counted_at, cost FROM ended
                           UNION ALL SELECT 'model:' || model, rail, counted_at, cost FROM ended
                           UNION ALL SELECT 'agent:' || agent, rail, counted_at, cost FROM ended)
            SELECT scope, width, start, {", ".join(f"sum({name}) AS {name}" for name in columns)} FROM (
                SELECT scope, width, start, {", ".join(columns)} FROM sums
                UNION ALL
                SELECT scope, width, counted_at - counted_at % width, -cost, -1, {rails} FROM costs CROSS JOIN widths
            ) GROUP BY 1, 2, 3 HAVING {" OR ".join(f"sum({name}) <> 0" for name in columns)}"""
    ):
        wrong = ", ".join(f"{row[name]} {name}" for name in columns if row[name])
        yield f"the sum of {row['scope']} in the {row['width']} ms from {row['start']} is wrong by {wrong}"


def _jobs(tx: Transaction) -> Iterator[str]:
    for row in tx.all(
        """SELECT jobs.id, payments.state FROM jobs JOIN payments ON payments.purchase = jobs.purchase
           WHERE payments.attempt = (SELECT max(attempt) FROM payments p WHERE p.purchase = jobs.purchase)"""
    ):
        if State(row["state"]) not in PAID | OPEN | {State.EXPIRED, State.WRITTEN_OFF}:
            yield f"job {row['id']} belongs to a payment that is {row['state']}"


def _audit(tx: Transaction) -> Iterator[str]:
    try:
        audit.verify(tx)
    except ValueError as error:
        yield str(error)
        return
    yield from _refunds(tx)
    told: dict[int, str] = {}
    signed: dict[int, Mapping[str, object]] = {}
    for row in tx.all("SELECT entry FROM audit ORDER BY seq"):
        entry = json.loads(row["entry"])
        if entry["event"] == "move":
            before = told.get(entry["payment"], State.RESERVED)
            if entry["from"] != before or State(entry["to"]) not in MOVES[State(entry["from"])]:
                yield f"the audit chain moves payment {entry['payment']} from {entry['from']} to {entry['to']}"
            told[entry["payment"]] = entry["to"]
            if entry["to"] == State.SIGNED:
                signed[entry["payment"]] = entry
        elif entry["event"] == "entry":
            told[entry["payment"]] = entry["to"]
        elif entry["event"] == "question":
            told[entry["payment"]] = State.INTENDED
    for row in tx.all("SELECT id, state, amount, pay_to, token, network FROM payments"):
        terms = signed.get(row["id"], {})
        if any(terms.get(name, row[name]) != row[name] for name in ("amount", "pay_to", "token", "network")):
            yield f"payment {row['id']} is not what the audit chain says was signed"
        if told.get(row["id"], State.RESERVED) != row["state"]:
            yield f"payment {row['id']} is {row['state']}, and the audit chain ends before that"


def _refunds(tx: Transaction) -> Iterator[str]:
    """What was sent back, against an audit chain that is intact."""
    told: dict[tuple[object, ...], Mapping[str, object]] = {}
    purchases: dict[tuple[object, ...], object] = {}
    for row in tx.all("""SELECT entry FROM audit WHERE entry LIKE '%"event":"refund%' ORDER BY seq"""):
        entry = json.loads(row["entry"])
        place = tuple(entry.get(name) for name in ("network", "transaction", "index"))
        if entry["event"] == refunds.BOOKED:
            told[place] = entry
        elif entry["event"] == refunds.ASSIGNED:
            purchases[place] = entry["purchase"]
    for refund in refunds.booked(tx):
        place = (refund.network, refund.transaction, refund.index)
        entry, facts = told.pop(place, {}), refunds.facts(refund)
        if {name: entry.get(name) for name in facts} != facts or purchases.get(place) != refund.purchase:
            yield f"the refund in {refund.transaction} is not what the audit chain says was booked"
    for _, transaction, _ in told:
        yield f"the refund in {transaction} is in the audit chain and not in the ledger"
