"""Records of the ledger and the legal moves between the states of a payment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

DAY = 86_400_000
NEVER = 2**63 - 1
"""``counted_at`` of a payment whose outcome is open: it lies in every window, whatever its age."""
SAFETY = 10
"""Seconds before its deadline from which an authorization is no longer sent."""


class State(StrEnum):
    INTENDED = "intended"
    RESERVED = "reserved"
    RELEASED = "released"
    SIGNED = "signed"
    SENT = "sent"
    UNKNOWN = "unknown"
    CLAIMED = "claimed"
    SETTLED = "settled"
    EXPIRED = "expired"
    WRITTEN_OFF = "written_off"


MOVES: Mapping[State, frozenset[State]] = {
    State.INTENDED: frozenset({State.RESERVED, State.RELEASED}),
    State.RESERVED: frozenset({State.SIGNED, State.RELEASED}),
    State.SIGNED: frozenset({State.SENT, State.SETTLED, State.EXPIRED, State.WRITTEN_OFF}),
    State.SENT: frozenset({State.CLAIMED, State.UNKNOWN, State.SETTLED, State.EXPIRED, State.WRITTEN_OFF}),
    State.UNKNOWN: frozenset({State.CLAIMED, State.SETTLED, State.EXPIRED, State.WRITTEN_OFF}),
    State.CLAIMED: frozenset({State.SETTLED, State.EXPIRED}),
    # A settlement on the chain beats everything that was believed before it.
    State.EXPIRED: frozenset({State.SETTLED}),
    State.WRITTEN_OFF: frozenset({State.SETTLED, State.EXPIRED}),
    State.SETTLED: frozenset(),
    State.RELEASED: frozenset(),
}
UNCOUNTED = frozenset({State.INTENDED, State.RELEASED, State.EXPIRED})
OPEN = frozenset({State.RESERVED, State.SIGNED, State.SENT, State.UNKNOWN})
PAID = frozenset({State.CLAIMED, State.SETTLED})
LIVE = OPEN - {State.RESERVED}
"""Something was signed, and nothing is known of what became of it: its bytes may be sent again."""


@dataclass(frozen=True, slots=True)
class Payment:
    """One attempt to pay. Amounts micro-USD, ``deadline`` epoch seconds, ``*_at`` epoch milliseconds."""

    id: int
    purchase: str
    attempt: int
    serial: int
    state: State
    owner: str
    agent: str
    model: str
    rail: str
    network: str
    token: str
    origin: str
    payer: str
    pay_to: str
    amount: int
    fee: int
    policy: str
    nonce: bytes | None
    signed_hash: str | None
    deadline: int | None
    path: str | None
    body: str | None
    sealed: bytes | None
    note: str | None
    transaction_hash: str | None
    reserved_at: int
    sent_at: int | None
    ended_at: int | None


@dataclass(frozen=True, slots=True)
class ClipJob:
    """A job of the seller and what became of its clip. ``lost``: the clip cannot be had any more."""

    id: str
    purchase: str
    status: str
    progress: int | None
    video_url: str | None
    thumbnail_url: str | None
    links_die_at: int | None
    video_path: str | None
    error: str | None
    lost: bool
    found_at: int
    updated_at: int
    findings: Mapping[str, Any] | None = None
    """What was seen of the saved clip, once it was looked at."""

    @property
    def finished(self) -> bool:
        return self.video_path is not None or self.lost or self.status == "failed"


@dataclass(frozen=True, slots=True)
class Upload:
    """A paid upload; ``ticket`` (sealed) is kept until ``url`` is known, ``blob_url`` once the bytes are stored."""

    purchase: str
    sha256: str
    width: int
    height: int
    ticket: bytes | None
    ticket_dies_at: int | None
    blob_url: str | None
    url: str | None


@dataclass(frozen=True, slots=True)
class Approval:
    """What a human was asked, and said: ``answer`` is ``approved``, ``denied`` or None. Times are epoch ms."""

    purchase: str
    question: str
    asked_at: int
    expires_at: int
    answer: str | None
    answered_at: int | None
    answered_by: str | None
    used_at: int | None

    def stands(self, now: int) -> bool:
        """Whether it still waits for an answer, or for its yes to be used."""
        return self.answer != "denied" and self.used_at is None and now < self.expires_at


@dataclass(frozen=True, slots=True)
class Purchase:
    """What was asked for, with its last attempt to pay and what the seller delivered."""

    id: str
    key: bytes
    agent: str
    model: str
    take: int
    generation: int | None
    request: Mapping[str, object]
    created_at: int
    payment: Payment
    job: ClipJob | None
    upload: Upload | None
    approval: Approval | None = None

    @property
    def paid(self) -> bool:
        return self.payment.state in PAID

    @property
    def delivered(self) -> bool:
        return self.job is not None or (self.upload is not None and self.upload.url is not None)

    @property
    def unanswered(self) -> bool:
        """A human is asked whether to pay, or has said no."""
        return self.payment.state is State.INTENDED

    @property
    def may_be_paid_again(self) -> bool:
        """Nothing was paid, and nothing of an earlier attempt could be taken for what the next one delivers."""
        return self.payment.state in UNCOUNTED and self.job is None and self.upload is None

    def answers(self, now: int) -> bool:
        """Whether a repeated call is answered with this purchase, at ``now`` in milliseconds.

        An open purchase, one that was given up, and one that was paid and not delivered answer at any age; a delivered
        clip for a day after it was paid; an uploaded image for good, since its caller looks at the link.
        """
        state = self.payment.state
        if state in UNCOUNTED:
            return False
        if state in OPEN or state is State.WRITTEN_OFF or self.job is None:
            return True
        return now < (self.payment.ended_at or now) + DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What a reservation writes down. ``key`` is the purchase key, ``subject`` the same without the take."""

    key: bytes
    subject: bytes
    agent: str
    model: str
    take: int
    generation: int | None
    request: Mapping[str, object]
    rail: str
    network: str
    token: str
    origin: str
    payer: str
    pay_to: str
    amount: int
    fee: int
    policy: str
    proposal: Mapping[str, object] = field(default_factory=dict)
    """What was judged, for whoever judges it again."""
    serial: int = 0
    """The least number of the authorization: the ones before it are used on the chain, whoever signed them."""
    replaces: str | None = None
    """A paid purchase with this key that can deliver nothing more (an upload), as the caller has checked."""
