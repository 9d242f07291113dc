"""A JSON-RPC client over pipes that costs next to nothing, and the table that both benchmarks print."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from threading import Timer
from typing import Any, Self

import click

PROTOCOL = "2025-11-25"
PATIENCE = 120
"""Seconds after which a server that hangs is killed."""


class Server:
    """``python -m`` a module, speaking MCP on its pipes."""

    def __init__(self, arguments: Sequence[str], folder: Path, **settings: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=environment(folder) | settings,
        )
        self._guard = Timer(PATIENCE, self._process.kill)
        self._guard.daemon = True
        self._guard.start()
        self._last = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        finally:
            self._guard.cancel()

    def initialize(self) -> None:
        client = {"name": "bench", "version": "1"}
        self.request("initialize", protocolVersion=PROTOCOL, capabilities={}, clientInfo=client)
        self._send({"method": "notifications/initialized"})

    def call(self, tool: str, **arguments: object) -> dict[str, Any]:
        """The tool's structured answer. Exits where it is an error: a benchmark of refusals says nothing."""
        answer = self.request("tools/call", name=tool, arguments=arguments)
        if answer.get("isError"):
            raise click.ClickException(f"{tool}: {answer['content'][0]['text']}")
        document: dict[str, Any] = answer["structuredContent"]
        return document

    def request(self, method: str, **params: object) -> dict[str, Any]:
        self._last += 1
        self._send({"id": self._last, "method": method, "params": params})
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            if answer.get("id") == self._last:
                if "error" in answer:
                    raise click.ClickException(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result
        assert self._process.stderr is not None
        raise click.ClickException(f"the server ended: {self._process.stderr.read().decode().strip()}")

    def _send(self, message: dict[str, object]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self._process.stdin.flush()


def environment(folder: Path) -> dict[str, str]:
    """This one without what would set either side apart: Python is free to keep its byte code, HOME is empty."""
    ours = ("SEEDANCE_", "PYTHON", "XDG_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"HOME": str(folder)}


def print_times(title: str, rows: Mapping[str, Sequence[int]]) -> None:
    """``rows`` are nanoseconds by name."""
    click.echo(f"{title + ', ms':<42}{'min':>9}{'median':>9}{'max':>9}")
    for name, times in rows.items():
        low, middle, high = (f"{value / 1e6:9.1f}" for value in (min(times), median(times), max(times)))
        click.echo(f"  {name:<40}{low}{middle}{high}")
