"""Time that stands still until it is moved, and an event loop that lives in it."""

import asyncio
from collections import deque
from dataclasses import dataclass

ROUNDS = 60
START = 1_700_000_000_000


@dataclass
class Clock:
    """``true`` is the time of the world, ``skew`` what this machine's wall clock is ahead of it; milliseconds."""

    true: int = START
    skew: int = 0

    def wall(self) -> int:
        return self.true + self.skew


class StandingLoop(asyncio.SelectorEventLoop):
    """Timers fire when ``clock`` has been moved past them, so no test ever waits."""

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        super().__init__()

    def time(self) -> float:
        return self._clock.true / 1000

    def drain(self) -> None:
        """Run until everything waits for something that only a test can bring about."""
        # A call that is cancelled inside a shield never rests: anyio tries again in each round.
        for _ in range(ROUNDS):
            if not self._ready and not (self._scheduled and self._scheduled[0].when() <= self.time()):
                break
            self.call_soon(self.stop)
            self.run_forever()
