"""The sandbox as a process of its own: ``python -m bench_seller ADDRESS`` funds the address and prints the origin.

Each line on stdin is answered with the requests seen since the last one but for those about jobs, which a watcher
makes when it likes, as JSON on one line; the end of stdin ends the seller.
"""

import json
import sys

import anyio

from seedance_mcp.sandbox import Faults, Sandbox, serve

FUNDS = 1_000_000_000_000


async def sell(address: str) -> None:
    # A job that fails at once renders nothing, and a watcher looks at it once; one that hangs would be polled again
    # and again while later purchases are timed.
    sandbox = Sandbox(faults=Faults(job="failed"))
    sandbox.fund(address, FUNDS)
    async with serve(sandbox) as origin:
        print(origin, flush=True)
        for _ in sys.stdin:
            seen = [
                {
                    "method": request.method,
                    "path": request.path,
                    "body": request.body.decode("latin-1"),
                    "status": request.status,
                }
                for request in sandbox.requests
                if not request.path.startswith("/api/jobs")
            ]
            sandbox.requests.clear()
            print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    anyio.run(sell, sys.argv[1])
