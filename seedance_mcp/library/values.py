"""What the library takes and gives back. Nothing here does anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal, Required, TypedDict

from seedance_mcp.errors import Refused, SeedanceError
from seedance_mcp.money import usd
from seedance_mcp.standing import Status


class Micros(int):
    """An amount in whole micro-USD; ``usd`` is the same as a decimal string, such as ``"0.36"``."""

    __slots__ = ()

    @property
    def usd(self) -> str:
        return usd(self)


class ClipTerms(TypedDict, total=False):
    """What a clip can be asked to be; what is left out is as in the tool ``generate_video``.

    ``max_price_usd`` is an amount in dollars over uploads and clip together, and can only lower the operator's limits.
    ``take``: raise it to buy the same request once more.
    """

    last_image: str | Path
    model: Literal["seedance", "seedance-fast"]
    duration: int
    resolution: str
    aspect_ratio: str
    generate_audio: bool
    camera_fixed: bool
    seed: int
    quote_id: str
    max_price_usd: str | Decimal
    take: int


class ClipIdea(ClipTerms, total=False):
    """A clip to be estimated. An image is an https URL, or a path in a folder that images may be read from."""

    prompt: str
    image: str | Path


class ClipRequest(ClipTerms, total=False):
    """A clip to be bought."""

    prompt: Required[str]
    image: Required[str | Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit of the policy. ``scope`` is ``wallet``, ``model:NAME`` or ``agent:NAME``; ``held`` is not final yet."""

    scope: str
    window: str
    cap: Micros
    spent: Micros
    held: Micros
    left: Micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """``left`` is the least that any limit leaves; 0 while the operator has frozen all purchases."""

    frozen: bool
    left: Micros
    limits: Sequence[Limit]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A price and what the policy says about it. ``live``: the seller's own quote, not the dated price table.

    ``quote_id`` binds ``generate`` to this price until ``expires_at`` (UTC).
    """

    price: Micros
    live: bool
    quote_id: str | None
    expires_at: datetime | None
    verdict: Literal["allowed", "needs_approval", "refused"]
    reason: str
    budget: Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An image at the seller. ``charged`` is what this call paid; ``sha256`` is of the bytes that were given."""

    url: str
    sha256: str
    width: int
    height: int
    price: Micros
    charged: Micros
    reused: bool
    purchase_id: str
    transaction: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A clip that was bought. ``charged`` is what the call paid that answers with this, uploads included.

    ``status`` is as in the tool ``check_job``, ``progress`` percent, ``error`` what stands in the clip's way.
    """

    purchase_id: str
    job_id: str | None
    status: Status
    progress: int | None
    price: Micros
    charged: Micros
    rail: str
    transaction: str | None
    duplicate: bool
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip(Job):
    """A clip that is on this disk, at ``path``. ``remarks`` say what is not as it should be in it, once looked at."""

    path: Path
    remarks: Sequence[str]


class AwaitingApproval(Refused):
    """The operator has to approve the purchase ``purchase_id`` first: nothing was charged for it, and the same call
    goes through afterwards."""

    code = "awaiting_approval"


class ClipFailed(SeedanceError):
    """There will be no clip of this purchase. ``charged`` is what was paid for it, whichever call did."""

    code = "clip_failed"
