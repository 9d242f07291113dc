"""An embedded StableStudio on loopback: no network, no money, real signatures.

It judges what it is sent by its own means, so that it can catch a client that signs the wrong thing.
"""

from seedance_mcp.sandbox.app import Sandbox
from seedance_mcp.sandbox.faults import Faults
from seedance_mcp.sandbox.serving import serve

__all__ = ["Faults", "Sandbox", "serve"]
