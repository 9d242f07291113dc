"""What ``--json`` prints, as JSON Schema: programs of operators rely on it."""

from typing import Any


def record(**members: dict[str, Any]) -> dict[str, Any]:
    """An object with all of these members and no others."""
    return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}


def maybe(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def rows(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": schema}


TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}
USD = {"type": "string", "pattern": r"^(0|[1-9]\d*)\.\d{2,6}$"}
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}
DAY = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d$"}
ADDRESS = {"type": "string", "pattern": "^0x[0-9a-fA-F]{40}$"}
YES_OR_NO = {"type": "boolean"}

SUMS: dict[str, dict[str, Any]] = {
    "payments": COUNT,
    "settled_usd": USD,
    "claimed_usd": USD,
    "held_usd": USD,
    "written_off_usd": USD,
    "outside_usd": USD,
    "fees_usd": USD,
    "total_usd": USD,
    "refunded_usd": USD,
    "finished_seconds": COUNT,
    "usd_per_finished_second": maybe(USD),
}


def spend(by: str) -> dict[str, Any]:
    return record(
        by={"const": by},
        since=maybe(DAY),
        time_zone=TEXT,
        rows=rows(record(**{by: DAY if by == "day" else TEXT, **SUMS})),
        sum=record(**SUMS),
    )


STATES = {
    "enum": [
        "intended",
        "reserved",
        "signed",
        "sent",
        "unknown",
        "claimed",
        "settled",
        "written_off",
        "released",
        "expired",
    ]
}
STATUS = {"enum": ["awaiting_approval", "denied", "payment_unknown", "pending", "loading", "complete", "failed"]}
JOBS = rows(
    record(
        bought_at=TIME,
        agent=TEXT,
        model=TEXT,
        take={"type": "integer", "minimum": 1},
        prompt=maybe(TEXT),
        payment=STATES,
        fee_usd=USD,
        status=STATUS,
        progress=maybe(COUNT),
        video_path=maybe(TEXT),
        video_url=maybe(TEXT),
        thumbnail_url=maybe(TEXT),
        expires_at=maybe(TIME),
        price_usd=USD,
        error=maybe(TEXT),
        purchase_id=TEXT,
        job_id=maybe(TEXT),
    )
)
RECONCILED = rows(
    record(purchase_id=TEXT, model=TEXT, amount_usd=USD, state_before=STATES, state=STATES, job_id=maybe(TEXT))
)
AUDIT = record(intact=YES_OR_NO, rows=maybe(COUNT), problems=rows(TEXT))
FREEZE = record(frozen={"const": True}, why=TEXT)
UNFREEZE = record(frozen={"const": False}, was_frozen=YES_OR_NO)
TRUST = record(seller=TEXT, pay_to=ADDRESS, before=maybe(ADDRESS))
GENERATION = record(generation=COUNT)
WALLET_NEW = record(address=ADDRESS, keystore=TEXT)
WALLET_ADDRESS = record(address=ADDRESS)
ON_A_RAIL = record(address=ADDRESS, network=TEXT, token=TEXT, balance_usd=maybe(USD), error=maybe(TEXT))
WALLET_BALANCE = record(x402=ON_A_RAIL, mpp=ON_A_RAIL)
ANSWER = record(purchase_id=TEXT, answer={"enum": ["approved", "denied"]})
COLLECTED = record(jobs=COUNT)
BOUGHT = record(
    purchase_id=TEXT,
    job_id=maybe(TEXT),
    status=STATUS,
    video_path=maybe(TEXT),
    price_usd=USD,
    charged_usd=USD,
    rail={"enum": ["x402", "mpp"]},
    transaction=maybe(TEXT),
    duplicate=YES_OR_NO,
    remarks=rows(TEXT),
)
CLAIM_LINE: dict[str, dict[str, Any]] = {
    "purchase_id": TEXT,
    "bought_at": TIME,
    "model": TEXT,
    "amount_usd": USD,
    "refunded_usd": USD,
    "rail": TEXT,
    "why": {"enum": ["no job", "job failed", "clip lost", "upload lost"]},
    "state": {"enum": ["open", "refunded"]},
}
REFUND = record(
    amount_usd=USD,
    rail=TEXT,
    network=TEXT,
    transaction=TEXT,
    log_index=COUNT,
    sender=ADDRESS,
    wallet=TEXT,
    mined_at=TIME,
    purchase_id=maybe(TEXT),
)
CLAIMS = record(
    since=maybe(DAY),
    claims=rows(record(**CLAIM_LINE)),
    sum=record(claims=COUNT, amount_usd=USD, open_usd=USD, refunded_usd=USD),
    other_refunds=rows(REFUND),
    looked_up=rows(record(rail=TEXT, booked=COUNT, until=maybe(TIME), problem=maybe(TEXT))),
)
CLAIM = record(
    **CLAIM_LINE,
    fee_usd=USD,
    payment={"enum": ["claimed", "settled"]},
    network=TEXT,
    token=TEXT,
    transaction=maybe(TEXT),
    nonce=maybe(TEXT),
    wallet=TEXT,
    recipient=ADDRESS,
    seller=TEXT,
    job_id=maybe(TEXT),
    seller_says=maybe(TEXT),
    problem=maybe(TEXT),
    sent_at=maybe(TIME),
    known_since=maybe(TIME),
    job_changed_at=maybe(TIME),
    path=maybe(TEXT),
    request={"type": "object"},
    refunds=rows(REFUND),
)
