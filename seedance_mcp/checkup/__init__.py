"""Looks at everything that has to be right before a clip can be bought. It changes nothing and signs nothing."""

from seedance_mcp.checkup.finding import Finding, Status
from seedance_mcp.checkup.run import examine

__all__ = ["Finding", "Status", "examine"]
