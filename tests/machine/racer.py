"""A process that races for a cap: ``python -m tests.machine.racer LEDGER OWNER CAP CLIPS``.

On a line it reserves its clips one after the other, and tells of each: ``reserved``, ``refused`` or ``busy``, which it
tries again. With ``pause`` instead of a plain line it stops itself inside its first transaction, after its decision was
written and before the commit, and says ``inside`` just before.
"""

import os
import signal
import sys
from pathlib import Path

import anyio
from click import echo

from seedance_mcp.errors import LedgerBusy
from seedance_mcp.guard.decision import decide
from seedance_mcp.guard.usage import WALLET, Usage, Verdict
from seedance_mcp.ledger import reservations, sqlite
from seedance_mcp.ledger.database import Transaction
from seedance_mcp.ledger.states import Intent, Purchase
from tests.guard.examples import policy, proposal
from tests.ledger.examples import NOW, intent

BUSY_MS = 200
TRIES = 500


async def main(*arguments: str) -> None:
    ledger, owner, cap, clips = arguments
    sqlite.BUSY_MS = BUSY_MS
    database = await sqlite.SQLite.open(Path(ledger), "real")
    rules, asked = policy(per_hour=int(cap), payments_per_day=None), proposal()

    def rule(usage: Usage) -> Verdict:
        return decide(rules, usage, asked)

    def reserve(tx: Transaction, what: Intent, pause: bool) -> Purchase | Verdict:
        answer = reservations.reserve(tx, what, ((WALLET, "hour"), (WALLET, "day")), rule, owner, NOW)
        if pause:
            echo("inside")
            os.kill(os.getpid(), signal.SIGSTOP)
        return answer

    echo("ready")
    pause = sys.stdin.readline().strip() == "pause"
    for number in range(int(clips)):
        for _ in range(TRIES):
            try:
                answer = await database.write(reserve, intent(f"{owner}-{number}"), pause)
            except LedgerBusy:
                echo("busy")
                continue
            pause = False
            echo("reserved" if isinstance(answer, Purchase) else "refused")
            break
    await database.close()


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
