"""seedance-mcp: an agent buys Seedance clips within limits that only its operator can change.

From Python: ``from seedance_mcp import Studio``.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seedance_mcp.library.studio import Studio
    from seedance_mcp.library.values import AwaitingApproval, Budget, Clip, ClipFailed, Estimate, Job, Micros, Upload

__version__ = "0.1.0"
__all__ = ["AwaitingApproval", "Budget", "Clip", "ClipFailed", "Estimate", "Job", "Micros", "Studio", "Upload"]


def __getattr__(name: str) -> object:
    """The library is imported when it is asked for: a server starts without it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    room = "studio" if name == "Studio" else "values"
    return getattr(import_module(f"{__name__}.library.{room}"), name)
