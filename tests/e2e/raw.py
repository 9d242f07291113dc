"""A server process whose bytes, and whose death, are in the test's own hands."""

import json
import subprocess
from contextlib import ExitStack
from typing import Any, Self

from tests.e2e.home import COMMAND, Home

VERSION = "2025-06-18"


class RawServer:
    """Newline-delimited JSON-RPC over the pipes of ``serve``; a context manager that ends the process.

    ``lines`` is everything that came out of its standard output.
    """

    def __init__(self, home: Home, *options: str) -> None:
        self._home = home
        self._options = options
        self.lines: list[bytes] = []
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        log = self._undo.enter_context(self._home.stderr.open("a"))
        command = [*COMMAND, "serve", *self._options]
        self._process = self._undo.enter_context(
            subprocess.Popen(
                command, env=self._home.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, bufsize=0
            )
        )
        # The process has to be gone before Popen waits for it.
        self._undo.callback(self.kill)
        client = {"name": "raw", "version": "1"}
        self.ask("initialize", protocolVersion=VERSION, capabilities={}, clientInfo=client)
        self._send({"method": "notifications/initialized"})
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def kill(self) -> None:
        """SIGKILL: nothing of the process runs any more."""
        self._process.kill()
        self._process.wait()

    def close(self) -> int:
        """End its input, as clients do, and read the rest of its output; the exit code."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self.lines += self._process.stdout.readlines()
        return self._process.wait()

    def call(self, tool: str, **arguments: object) -> dict[str, Any]:
        """The result of a tool, in the wire's names."""
        result: dict[str, Any] = self.ask("tools/call", name=tool, arguments=arguments)["result"]
        return result

    def ask(self, method: str, **params: object) -> dict[str, Any]:
        """The answer to a request; what comes before it (notifications) stays in ``lines``."""
        self._send({"id": len(self.lines), "method": method, "params": params})
        assert self._process.stdout is not None
        wanted = len(self.lines)
        while line := self._process.stdout.readline():
            self.lines.append(line)
            answer: dict[str, Any] = json.loads(line)
            if answer.get("id") == wanted:
                return answer
        raise AssertionError(f"the server ended: {self._home.stderr.read_text()}")

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"jsonrpc": "2.0"} | message).encode() + b"\n")
