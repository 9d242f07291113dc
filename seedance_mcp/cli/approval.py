"""The operator's answers to what waits for approval."""

import getpass

import click

from seedance_mcp.cli.ledger import on_ledger
from seedance_mcp.cli.printing import json_option, tell
from seedance_mcp.errors import NotFound, Refused
from seedance_mcp.ledger import approvals, views
from seedance_mcp.ledger.states import Approval
from seedance_mcp.timing import now


@click.command()
@click.argument("purchase_id", metavar="ID")
@json_option
def approve(purchase_id: str, as_json: bool) -> None:
    """Let the purchase ID be paid, at the price that was asked. The agent has to call again."""
    asked = _asked(purchase_id)
    click.echo(asked.question, err=as_json)
    click.confirm("Approve?", abort=True, err=True)
    _answer(asked, approved=True)
    words = f"{purchase_id} is approved: the same call of the agent goes through now."
    tell({"purchase_id": purchase_id, "answer": "approved"}, words, as_json=as_json)


@click.command()
@click.argument("purchase_id", metavar="ID")
@json_option
def deny(purchase_id: str, as_json: bool) -> None:
    """Refuse the purchase ID for 24 hours."""
    _answer(_asked(purchase_id), approved=False)
    words = f"{purchase_id} is denied for 24 hours. Nothing was charged."
    tell({"purchase_id": purchase_id, "answer": "denied"}, words, as_json=as_json)


def _asked(purchase_id: str) -> Approval:
    purchase = on_ledger(lambda database: database.read(views.find, purchase_id))
    approval = purchase.approval if purchase is not None and purchase.unanswered else None
    if purchase is None or approval is None or approval.answer is not None or not approval.stands(now()):
        raise _not_waiting(purchase_id)
    return approval


def _answer(asked: Approval, *, approved: bool) -> None:
    by = f"the operator ({getpass.getuser()})"
    if on_ledger(lambda database: database.write(approvals.answer, asked, approved=approved, by=by, now=now())) is None:
        raise Refused(
            f"the question about {asked.purchase} changed, or was answered, while it was shown",
            next="Run the same command again to see what is asked now.",
        )


def _not_waiting(purchase_id: str) -> NotFound:
    waiting = on_ledger(lambda database: database.read(approvals.waiting, now()))
    others = f"Waiting are {', '.join(purchase.id for purchase in waiting)}." if waiting else "Nothing waits."
    return NotFound(f"{purchase_id[:60]!r} does not wait for an answer", next=others)
