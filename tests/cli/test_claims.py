"""What the seller owes, from the commands as processes on a ledger with history."""

import errno
import json
import os
import stat
from pathlib import Path
from typing import IO, Any

import anyio
import pytest
from jsonschema import Draft202012Validator

import seedance_mcp.refunds
from seedance_mcp.cli.claims import _write_once
from seedance_mcp.cli.ledger import _reconcile
from seedance_mcp.errors import LedgerBusy
from seedance_mcp.ledger import jobs
from seedance_mcp.ledger.check import check_ledger
from seedance_mcp.ledger.sqlite import SQLite
from seedance_mcp.ledger.states import Payment, State
from seedance_mcp.payment.tokens import BASE_USDC
from seedance_mcp.sandbox import Sandbox, serve
from seedance_mcp.timing import now
from tests.cli.shell import ADDRESS, Ran, Shell
from tests.guard.examples import OTHER, PAY_TO
from tests.ledger.examples import CLIP, NOW, Desk, intent
from tests.report import schemas
from tests.report.examples import clip

DAY = 86_400_000
SAYS = 'the image is "not safe" \x1b[31m\u202e'


async def failed(desk: Desk, name: str, error: str = SAYS, **changes: Any) -> Payment:
    """A clip that was paid and whose job failed."""
    payment = await clip(desk, name, saved=False, **changes)
    await desk.database.write(
        jobs.update, f"job-{name}", status="failed", progress=None, video_url=None, thumbnail_url=None,
        links_die_at=None, error=error, now=desk.now,
    )  # fmt: skip
    return payment


async def write_history(ledger: Path) -> dict[str, str]:
    """On the 14th and the 15th of November 2023; the purchases by their names."""
    database = await SQLite.open(ledger, "real")
    desk = Desk(database)
    bought = {"failed": await failed(desk, "failed"), "saved": await clip(desk, "saved")}
    bought["nameless"] = await desk.at(State.SETTLED, intent("nameless \x1b[31m"))
    bought["image"] = await desk.at(State.SETTLED, intent("image", model="upload", amount=10_000))
    desk.now += DAY
    bought["lost"] = await clip(desk, "lost", saved=False, state=State.CLAIMED, amount=500_000)
    await database.write(jobs.note_error, "job-lost", "the clip could not be saved: it was gone", True, desk.now)
    bought["said"] = await desk.at(State.CLAIMED, intent("said"))
    await database.close()
    return {name: payment.purchase for name, payment in bought.items()}


@pytest.fixture(scope="module")
def bought() -> dict[str, str]:
    """The purchases of the history by their names."""
    return {}


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, bought: dict[str, str]) -> Shell:
    home = Shell(tmp_path_factory.mktemp("home"))
    bought.update(anyio.run(write_history, home.ledger))
    return home


def told(ran: Ran, schema: dict[str, Any]) -> Any:
    """What a command printed, and that it was JSON and nothing else."""
    assert ran.code == 0, ran.err
    assert ran.out.isascii()
    value = json.loads(ran.out)
    Draft202012Validator(schema).validate(value)
    return value


def test_what_was_paid_and_not_delivered_is_listed_with_its_sum(shell: Shell, bought: dict[str, str]) -> None:
    ran = shell.run("claims")
    head, _, *rows, total, words = ran.out.splitlines()
    assert head.split() == ["purchase", "day", "model", "amount", "rail", "why", "state"]
    assert {row.split()[0]: " ".join(row.split()[2:]) for row in rows} == {
        bought["failed"]: "seedance 0.36 x402 job failed open",
        bought["nameless"]: "seedance 0.36 x402 no job open",
        bought["image"]: "upload 0.01 x402 upload lost open",
        bought["lost"]: "seedance 0.50 x402 clip lost open",
    }
    assert total.split() == ["sum", "1.23"]
    assert words == "Open: $1.23. Refunded: $0.00."


def test_claims_are_told_to_programs(shell: Shell, bought: dict[str, str]) -> None:
    everything, late = shell.run_each(["claims", "--json"], ["claims", "--json", "--since", "2023-11-15"])
    value = told(everything, schemas.CLAIMS)
    assert value["sum"] == {"claims": 4, "amount_usd": "1.23", "open_usd": "1.23", "refunded_usd": "0.00"}
    assert value["looked_up"] == value["other_refunds"] == []
    assert [claim["purchase_id"] for claim in told(late, schemas.CLAIMS)["claims"]] == [bought["lost"]]


def test_one_claim_is_a_letter_that_the_seller_can_act_on(shell: Shell, bought: dict[str, str]) -> None:
    letter, bundle = shell.run_each(["claims", bought["failed"]], ["claims", bought["failed"], "--json"])
    value = told(bundle, schemas.CLAIM)
    assert value["seller_says"] == "the image is 'not safe' [31m"
    assert (value["job_id"], value["transaction"], value["network"]) == ("job-failed", "0xsettled", "eip155:8453")
    assert (value["wallet"], value["recipient"], value["state"]) == ("0xpayer", PAY_TO, "open")
    assert value["sent_at"] == "2023-11-14T22:13:20Z"
    assert letter.code == 0
    assert letter.out.isascii()
    assert letter.out.startswith("Paid and not delivered: the job failed. Please send $0.36 back to the wallet named")
    for known in (value["nonce"], "0xsettled", "job-failed", bought["failed"], PAY_TO, value["seller_says"]):
        assert known in letter.out
    assert "sealed" not in letter.out + bundle.out


def test_a_lost_clip_is_told_in_words_that_are_not_the_seller_s(shell: Shell, bought: dict[str, str]) -> None:
    value = told(shell.run("claims", bought["lost"], "--json"), schemas.CLAIM)
    assert (value["seller_says"], value["problem"]) == (None, "the clip could not be saved: it was gone")


def test_what_is_no_claim_is_an_error(shell: Shell, bought: dict[str, str]) -> None:
    saved, said, nobody, both, wrong = shell.run_each(
        ["claims", bought["saved"]],
        ["claims", bought["said"]],
        ["claims", "pur_0"],
        ["claims", bought["failed"], "--since", "2023-11-15"],
        ["claims", "--since", "yesterday"],
    )
    assert [ran.code for ran in (saved, said, nobody, both, wrong)] == [1, 1, 1, 2, 2]
    assert "is no claim" in saved.complaint
    assert "is no claim" in said.complaint
    assert nobody.complaint == "there is no purchase pur_0."


def test_each_claim_is_written_to_a_file_of_its_own_once(shell: Shell, tmp_path: Path, bought: dict[str, str]) -> None:
    folder = tmp_path / "claims"
    first = shell.run("claims", "--since", "2023-11-15", "--export", str(folder))
    assert (first.code, first.err) == (0, f"1 written to {folder}.\n")
    (file,) = folder.iterdir()
    assert file.name == f"{bought['lost']}.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    Draft202012Validator(schemas.CLAIM).validate(json.loads(file.read_text()))
    file.write_text("mine")
    again = shell.run("claims", "--export", str(folder))
    assert again.code == 0
    assert f"{file} is there already and was left as it is." in again.err
    assert (file.read_text(), len(list(folder.iterdir()))) == ("mine", 4)


def test_half_of_a_file_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, *_: str, **__: str) -> IO[str]:
        os.write(descriptor, b"{")
        os.close(descriptor)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdopen", full)
        with pytest.raises(OSError, match="No space"):
            _write_once(tmp_path / "claim.json", "{}")
    assert list(tmp_path.iterdir()) == []
    assert _write_once(tmp_path / "claim.json", "{}")
    assert not _write_once(tmp_path / "claim.json", "[]")
    assert (tmp_path / "claim.json").read_text() == "{}"


def test_nothing_owed_is_said(tmp_path: Path) -> None:
    ran = Shell(tmp_path).run("claims")
    assert (ran.code, ran.out) == (0, "Nothing was paid that was not delivered.\n")


async def test_a_refund_is_found_by_the_commands_and_makes_no_room(tmp_path: Path) -> None:
    home = Shell(tmp_path)
    database = await SQLite.open(home.ledger, "real")
    desk = Desk(database, now() - 3_600_000)
    await failed(desk, "dawn", token=BASE_USDC.address, payer=ADDRESS)
    sandbox = Sandbox()
    async with serve(sandbox) as origin:
        settings = {"STUDIO_URL": origin, "BASE_RPC_URL": f"{origin}/rpc,{origin}/rpc?again"}
        sandbox.fund(PAY_TO, CLIP)
        sandbox.fund(OTHER, CLIP)
        before = await desk.spent()
        sandbox.bank.send(PAY_TO, ADDRESS, CLIP)
        sandbox.bank.send(OTHER, ADDRESS, CLIP)
        looked = await run(home, "reconcile", **settings)
        ran = await run(home, "claims", **settings)
        value = told(await run(home, "claims", "--json", **settings), schemas.CLAIMS)
        spent = told(await run(home, "spend", "--json", **settings), schemas.spend("day"))
        verified = await run(home, "audit", "verify", **settings)
    assert "1 refund over x402 found and booked.\n" in looked.err
    assert "Open: $0.00. Refunded: $0.36." in ran.out
    assert [(claim["state"], claim["refunded_usd"]) for claim in value["claims"]] == [("refunded", "0.36")]
    assert [(looked["booked"], looked["problem"]) for looked in value["looked_up"]] == [(0, None)]
    assert (spent["sum"]["refunded_usd"], spent["sum"]["total_usd"]) == ("0.36", "0.36")
    assert verified.code == 0
    assert await desk.spent() == before
    assert await check_ledger(database) == []
    await database.close()


async def test_without_a_chain_the_claims_are_shown_and_what_was_not_looked_up(tmp_path: Path) -> None:
    home = Shell(tmp_path)
    database = await SQLite.open(home.ledger, "real")
    await failed(Desk(database, NOW), "dawn", token=BASE_USDC.address, payer=ADDRESS)
    await database.close()
    dead = "http://127.0.0.1:9/,http://127.0.0.1:9/again"
    ran = await run(home, "claims", BASE_RPC_URL=dead)
    assert ran.code == 0
    assert "job failed" in ran.out
    assert "Refunds over x402 have not been looked up at all yet. 2 RPC hosts of x402 must agree" in ran.out


async def test_what_became_of_the_payments_is_told_also_where_no_refund_can_be_booked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def busy(*_: object) -> None:
        raise LedgerBusy("the ledger is busy")

    home = Shell(tmp_path)
    database = await SQLite.open(home.ledger, "real")
    payment = await Desk(database, NOW).at(State.CLAIMED)
    await database.close()
    for name, value in home.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(seedance_mcp.refunds, "look_for_refunds", busy)
    (looked,) = await _reconcile(None, new_ledger=False)
    assert looked["purchase_id"] == payment.purchase
    assert capsys.readouterr().err == "Refunds could not be looked up: the ledger is busy.\n"


async def run(home: Shell, *arguments: str, **settings: str) -> Ran:
    return await anyio.to_thread.run_sync(lambda: home.run(*arguments, **settings))
