"""Runs a file's tests on one mutant after another, each in a fork of a process that has imported everything else."""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from enum import StrEnum
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from io import StringIO
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from time import monotonic_ns
from types import CodeType, ModuleType
from typing import NoReturn

import pytest

OURS = {"seedance_mcp", "tests"}
# The limit of time is the alarm of the fork, which pytest-timeout would set to its own.
ARGUMENTS = ("--exitfirst", "--quiet", "--override-ini=timeout=0", "-pno:cacheprovider")


class Fate(StrEnum):
    KILLED = "killed"
    TIMED_OUT = "timed out"
    SURVIVED = "survived"


@dataclass(frozen=True, slots=True)
class Verdict:
    """``killer`` is the file whose test failed first; empty where none did."""

    fate: Fate
    killer: str


def warm_up(tests: Sequence[str]) -> None:
    """Import what the tests need, and forget those modules again that are of this project."""
    with redirect_stdout(StringIO()) as told:
        code = pytest.main(["--collect-only", *ARGUMENTS, *tests])
    if code != 0:
        sys.exit(told.getvalue())
    for name in list(sys.modules):
        if name.partition(".")[0] in OURS:
            del sys.modules[name]
    from hypothesis import Phase, settings  # noqa: PLC0415 - pytest wants to be the first to import it

    # The same examples each time; and that there is one is enough, it need not be a short one.
    settings.register_profile("mutate", derandomize=True, database=None, deadline=None, phases=[Phase.generate])
    settings.load_profile("mutate")


def measure(tests: Sequence[str]) -> int:
    """Seconds that the tests take without a mutant, rounded up. Ends the program where one fails."""
    begun = monotonic_ns()
    [verdict] = judge("", [None], tests, limit=600, workers=1)
    if verdict.fate is not Fate.SURVIVED:
        sys.exit(f"without any mutant: {verdict.fate} by {verdict.killer or tests}")
    return (monotonic_ns() - begun) // 10**9 + 1


def judge(
    module: str, codes: Sequence[CodeType | None], tests: Sequence[str], *, limit: int, workers: int
) -> list[Verdict]:
    """What became of each ``code`` in the place of ``module``, within ``limit`` seconds."""
    verdicts: dict[int, Verdict] = {}
    running: dict[int, int] = {}
    with TemporaryDirectory() as name:
        folder = Path(name)

        def wait() -> None:
            child, status = os.wait()
            verdicts[running.pop(child)] = _verdict(status, folder / f"{child}.killer")
            rmtree(folder / str(child), ignore_errors=True)

        for number, code in enumerate(codes):
            if len(running) == workers:
                wait()
            if (child := os.fork()) == 0:
                _run(module, code, tests, limit, folder)
            running[child] = number
        while running:
            wait()
    return [verdicts[number] for number in range(len(codes))]


def _verdict(status: int, killer: Path) -> Verdict:
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        return Verdict(Fate.TIMED_OUT, "")
    fate = Fate.SURVIVED if status == 0 else Fate.KILLED
    return Verdict(fate, killer.read_text().partition("::")[0] if killer.exists() else "")


def _run(module: str, code: CodeType | None, tests: Sequence[str], limit: int, folder: Path) -> NoReturn:
    failed = 1
    try:
        signal.alarm(limit)
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silence, stream)
        if code is not None:
            sys.meta_path.insert(0, _Import(module, code))
        own = folder / str(os.getpid())
        failed = pytest.main([*ARGUMENTS, f"--basetemp={own}", *tests], [_Witness(own.with_suffix(".killer"))])
    finally:
        os._exit(failed)


class _Import(MetaPathFinder, Loader):
    """Gives ``code`` to whoever imports ``module``."""

    def __init__(self, module: str, code: CodeType) -> None:
        self._module, self._code = module, code

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        return spec_from_loader(fullname, self) if fullname == self._module else None

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)  # noqa: S102 - the code is our own, but for one mistake


class _Witness:
    def __init__(self, killer: Path) -> None:
        self._killer = killer

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._killer.write_text(report.nodeid)
