"""The clips that were bought and what became of them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from seedance_mcp.ledger.states import Purchase
from seedance_mcp.money import usd
from seedance_mcp.report.days import local
from seedance_mcp.report.table import table

if TYPE_CHECKING:
    from seedance_mcp.results import JobResult

_TOLD = (
    *("status", "progress", "video_path", "video_url", "thumbnail_url", "expires_at"),
    *("price_usd", "error", "purchase_id", "job_id"),
)
_HEAD = ("bought", "status", "price", "agent", "model", "purchase", "clip")


def as_json(purchase: Purchase, result: "JobResult") -> dict[str, object]:
    """One clip: what the agent is told of it (``result``), with who bought it, when and what for."""
    return {
        "bought_at": datetime.fromtimestamp(purchase.created_at // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "agent": purchase.agent,
        "model": purchase.model,
        "take": purchase.take,
        "prompt": purchase.request.get("prompt"),
        "payment": str(purchase.payment.state),
        "fee_usd": usd(purchase.payment.fee),
        **{name: getattr(result, name) for name in _TOLD},
    }


def as_table(clips: Sequence[tuple[Purchase, "JobResult"]], paint: Callable[[str], str]) -> str:
    """Times are the operator's. The last column has the file, or what is wrong."""
    rows = [
        (
            local(purchase.created_at).strftime("%Y-%m-%d %H:%M"),
            _status(result),
            usd(purchase.payment.amount),
            purchase.agent,
            purchase.model,
            purchase.id,
            result.video_path or result.error or "",
        )
        for purchase, result in clips
    ]
    return table(_HEAD, rows, numbers=("price",), paint=paint)


def _status(result: "JobResult") -> str:
    running = result.status == "loading" and result.progress is not None
    return f"loading {result.progress} %" if running else str(result.status)
