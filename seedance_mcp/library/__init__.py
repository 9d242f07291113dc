"""The same purchases from Python, without MCP: ``from seedance_mcp import Studio``."""
