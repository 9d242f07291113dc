"""A client that asks a server of its own for one clip and waits for it: ``python -m tests.crash.client PROMPT IMAGE``.

It tells each step with a line: ``asked`` with the server's process id, ``answered``, ``complete``. It is made for being
killed, so it imports nothing that takes long to load.
"""

import json
import subprocess
import sys
from typing import Any

CHEAP = {"model": "seedance-fast", "duration": 4, "resolution": "480p"}


def main(prompt: str, image: str) -> None:
    command = [sys.executable, "-m", "seedance_mcp", "serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as server:
        told = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "client", "version": "1"}}
        ask(server, "initialize", **told)
        say(server, method="notifications/initialized")
        tell(f"asked {server.pid}")
        job_id = call(server, "generate_video", prompt=prompt, image=image, **CHEAP)["job_id"]
        tell("answered")
        while call(server, "check_job", job_id=job_id, wait_seconds=50)["status"] != "complete":
            pass
        tell("complete")
        assert server.stdin is not None
        server.stdin.close()


def tell(step: str) -> None:
    sys.stdout.write(f"{step}\n")
    sys.stdout.flush()


def call(server: "subprocess.Popen[bytes]", tool: str, **arguments: object) -> dict[str, Any]:
    result = ask(server, "tools/call", name=tool, arguments=arguments)
    content: dict[str, Any] = result["structuredContent"]
    return content


def ask(server: "subprocess.Popen[bytes]", method: str, **params: object) -> dict[str, Any]:
    """The result of the only request that is open."""
    say(server, id=1, method=method, params=params)
    assert server.stdout is not None
    for line in server.stdout:
        answer = json.loads(line)
        if "result" in answer:
            return dict(answer["result"])
    raise EOFError


def say(server: "subprocess.Popen[bytes]", **message: object) -> None:
    assert server.stdin is not None
    server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
