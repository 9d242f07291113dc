"""What a chain says, read over JSON-RPC. A host may lie: whoever needs more than one opinion asks each of them."""

from seedance_mcp.chain.rpc import MAX_ANSWER, PATIENCE, Block, Chain, Host, Incoming, Outgoing, Transfer

__all__ = ["MAX_ANSWER", "PATIENCE", "Block", "Chain", "Host", "Incoming", "Outgoing", "Transfer"]
