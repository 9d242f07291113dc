"""A process that buys: ``python -m tests.ledger.buyer LEDGER OWNER CAP NAME…``.

It prints ``ready`` and waits for a line; reserves each clip, printing ``reserved``, ``known`` or ``refused``; waits for
another line; and signs what it reserved, printing ``signed`` or ``lost``.
"""

import sys
from pathlib import Path

import anyio
from click import echo

from seedance_mcp.errors import LedgerBusy
from seedance_mcp.guard.decision import decide
from seedance_mcp.guard.usage import Usage, Verdict
from seedance_mcp.ledger.sqlite import SQLite
from seedance_mcp.ledger.states import Payment, State
from tests.guard.examples import policy, proposal
from tests.ledger.examples import Desk, intent


async def main(*arguments: str) -> None:
    ledger, owner, cap, *names = arguments
    database = await SQLite.open(Path(ledger), "real")
    await database.hold(owner)
    desk, rules, asked = Desk(database), policy(per_hour=int(cap)), proposal()

    def rule(usage: Usage) -> Verdict:
        return decide(rules, usage, asked)

    async def reserve(name: str) -> Payment | None:
        while True:
            try:
                answer = await desk.ask(intent(name), owner=owner, rule=rule)
            except LedgerBusy:
                continue
            if isinstance(answer, Verdict):
                echo("refused")
                return None
            mine = answer.payment.owner == owner and answer.payment.state is State.RESERVED
            echo("reserved" if mine else "known")
            return answer.payment if mine else None

    echo("ready")
    sys.stdin.readline()
    reserved = [payment for name in names if (payment := await reserve(name)) is not None]
    sys.stdin.readline()
    for payment in reserved:
        echo("signed" if await desk.sign(payment, owner) else "lost")
    await database.close()


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
