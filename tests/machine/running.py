"""Runs the machine on one store and tells how far it came."""

from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.machine.machine import Machine
from tests.machine.store import File, Memory, Store


@dataclass(frozen=True, slots=True)
class Tally:
    """``failure`` is the shortest sequence that was found to break something, and what it broke."""

    sequences: int = 0
    steps: int = 0
    failure: str | None = None

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.sequences + other.sequences, self.steps + other.steps, self.failure or other.failure)


def run(path: Path | None, *, examples: int, steps: int) -> Tally:
    """Try ``examples`` sequences of at most ``steps`` on a file, or in memory without a ``path``."""
    sequences = judged = 0

    class Counted(Machine):
        def store(self) -> Store:
            nonlocal sequences
            sequences += 1
            return Memory() if path is None else File(path)

        def judge(self) -> None:
            nonlocal judged
            judged += 1
            super().judge()

    profile = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=[phase for phase in settings().phases if phase in {Phase.generate, Phase.shrink}],
        suppress_health_check=list(HealthCheck),
    )
    failure = None
    try:
        run_state_machine_as_test(Counted, settings=profile)
    # Hypothesis raises what the machine raised, or a group of it, with the shortest sequence as a note.
    except Exception as error:  # noqa: BLE001
        failure = _told(error)
    return Tally(sequences, judged, failure)


def _told(error: BaseException) -> str:
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return "\n".join([repr(error), *getattr(error, "__notes__", ()), *map(_told, inner)])
