"""seedance-mcp: an agent buys Seedance clips within limits that only its operator can change."""

__version__ = "0.1.0"
