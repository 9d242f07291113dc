import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from seedance_mcp.cli.request import Request, parse_request
from seedance_mcp.clip_order import ClipOrder
from seedance_mcp.guard.decision import decide, scopes
from seedance_mcp.guard.policy import BUILT_IN, Policy, parse_policy
from seedance_mcp.guard.schema import policy_schema
from seedance_mcp.guard.usage import WINDOWS, Verdict
from seedance_mcp.ledger import approvals, operator, reservations, views
from seedance_mcp.ledger.sqlite import SQLite
from seedance_mcp.ledger.states import DAY, Payment, Purchase, State
from seedance_mcp.ledger.views import must
from seedance_mcp.money import usd
from seedance_mcp.orders import SHIPPED_PAY_TO
from seedance_mcp.payment.tokens import BASE_USDC
from seedance_mcp.settings import STUDIO_URL
from seedance_mcp.timing import now
from tests.cli.shell import Ran, Shell
from tests.guard.examples import OTHER, proposal
from tests.ledger.examples import ME, VALID, Desk, intent

RULES = parse_policy(BUILT_IN)
TEXT = {"type": "string"}
USD = {"type": "string", "pattern": r"^[0-9]+\.[0-9]{2,6}$"}
COUNT = {"type": "integer", "minimum": 0}
TIME = {"type": ["string", "null"], "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z$"}
DIGEST = {"type": "string", "pattern": "^[0-9a-f]{64}$"}


def closed(*optional: str, **properties: Any) -> dict[str, Any]:
    """An object with these members and no others."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


VERDICT = {"verdict": {"enum": ["allowed", "needs_approval", "refused"]}, "code": TEXT, "reason": TEXT}
MISTAKES = {
    "type": "array",
    "items": closed(
        key={"type": ["string", "null"]},
        message=TEXT,
        line={"type": ["integer", "null"], "minimum": 1},
        column={"type": ["integer", "null"], "minimum": 1},
    ),
}
COUNTS = closed(allowed=COUNT, needs_approval=COUNT, refused=COUNT, spent_usd=USD)
RULE = {
    "rule": TEXT,
    "scope": {"type": ["string", "null"]},
    "holds": {"type": "boolean"},
    "otherwise": {"enum": ["asks", "refuses"]},
    "decides": {"type": "boolean"},
}
SCHEMAS = {
    "check": closed(
        file=TEXT, exists={"type": "boolean"}, valid={"type": "boolean"}, errors=MISTAKES, warnings=MISTAKES
    ),
    "show": closed(
        source={"enum": ["file", "built-in"]}, file={"type": ["string", "null"]}, digest=DIGEST, policy=policy_schema()
    ),
    "explain": closed(
        request=closed(
            "duration", "resolution", agent=TEXT, model=TEXT, rail=TEXT, generation={"enum": [1, 2, None]},
            price_usd=USD, table_usd={"anyOf": [USD, {"type": "null"}]}, duration=COUNT, resolution=TEXT,
        ),
        **VERDICT,
        remedy={"type": ["string", "null"]},
        rules={
            "type": "array",
            "items": {
                "oneOf": [
                    closed(**RULE, fact=TEXT),
                    closed(**RULE, limit_usd=USD, used_usd=USD, asked_usd=USD),
                    closed(**RULE, limit=COUNT, used=COUNT, asked=COUNT),
                ]
            },
        },
    ),
    "simulate": closed(
        file=TEXT, digest=DIGEST, decisions=COUNT, judged=COUNT, **{"from": TIME}, to=TIME, recorded=COUNTS,
        simulated=COUNTS,
        changed={
            "type": "array",
            "items": closed(
                at=TIME, agent=TEXT, model=TEXT, cost_usd=USD, recorded=closed(**VERDICT), simulated=closed(**VERDICT)
            ),
        },
    ),
}  # fmt: skip


def written(shell: Shell, text: str, name: str = "policy.toml") -> str:
    path = shell.home / name
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def printed(ran: Ran, command: str, code: int = 0) -> Any:
    """What a command printed as JSON, which is of the form that is promised for it."""
    assert (ran.code, ran.err) == (code, ""), ran.err
    told = json.loads(ran.out)
    Draft202012Validator(SCHEMAS[command]).validate(told)
    return told


async def ask(desk: Desk, name: str, rules: Policy = RULES, **asked: Any) -> Purchase | Verdict:
    """Decide about a purchase as the corridor does where nobody can be asked, and reserve it."""
    return await reserve(desk, name, rules, None, **asked)


async def reserve(
    desk: Desk, name: str, rules: Policy, asking: approvals.Asking | None, **asked: Any
) -> Purchase | Verdict:
    wanted = proposal(**asked)
    needed = [(scope, window) for scope, _ in scopes(rules, wanted.model, wanted.agent) for window in WINDOWS]
    what = intent(
        name,
        agent=wanted.agent,
        model=wanted.model,
        generation=wanted.generation,
        amount=wanted.price,
        fee=wanted.fee,
        pay_to=wanted.pay_to,
        policy=rules.digest,
        proposal=asdict(wanted),
    )
    return await desk.database.write(
        reservations.reserve, what, needed, lambda usage: decide(rules, usage, wanted), ME, desk.now, asking
    )


async def buy(desk: Desk, name: str, *moves: State, **asked: Any) -> Payment:
    answer = await ask(desk, name, **asked)
    assert isinstance(answer, Purchase), answer
    for move in moves:
        assert await desk.move(answer.payment, move)
    return answer.payment


async def refused(desk: Desk, name: str, code: str, **asked: Any) -> None:
    answer = await ask(desk, name, **asked)
    assert isinstance(answer, Verdict)
    assert answer.code == code


SETTLED = (State.SIGNED, State.SENT, State.SETTLED)
UNKNOWN = (State.SIGNED, State.SENT, State.UNKNOWN)


async def fill(database: SQLite) -> Desk:
    """Two days with every way that a payment can go, and with most reasons to refuse one."""
    desk = Desk(database)
    await buy(desk, "picture", *SETTLED, model="upload", price=10_000, table=10_000, generation=None)
    await buy(desk, "dear", *SETTLED, price=1_200_000, fee=1_500, table=1_200_000)
    await refused(desk, "dearer", "above_approval", price=2_000_000, table=2_000_000)
    await refused(desk, "creep", "over_table", price=500_000)
    await refused(desk, "stranger", "pay_to", pay_to=OTHER)
    await refused(desk, "poor", "balance", balance=100_000)
    for number in range(10):
        desk.now += 60_000
        await buy(desk, f"clip {number}", *SETTLED)
    await refused(desk, "one more", "per_hour")
    desk.now += 3_600_000 - 5 * 60_000
    await buy(desk, "one more", State.SIGNED, State.SENT, State.CLAIMED)
    lost = await buy(desk, "lost", *UNKNOWN)
    await refused(desk, "impatient", "unresolved")
    await buy(desk, "of another", State.RELEASED, agent="someone-else")
    await buy(desk, "of another", *UNKNOWN, agent="someone-else")
    desk.now += VALID * 1000
    assert await desk.move(lost, State.EXPIRED)
    await database.write(operator.freeze, "a leak", desk.now)
    await refused(desk, "frozen", "frozen")
    await database.write(operator.unfreeze, desk.now)
    desk.now += DAY
    await buy(desk, "lost", *SETTLED)
    await database.write(operator.accept_generation, 2, desk.now)
    await refused(desk, "changed", "new_generation")
    return desk


@pytest.fixture
async def filled(shell: Shell) -> Shell:
    database = await SQLite.open(shell.ledger, "real")
    await fill(database)
    await database.close()
    return shell


def dump(shell: Shell) -> bytes:
    """Everything in the ledger that is not about who is looking at it."""
    import apsw  # noqa: PLC0415

    connection = apsw.Connection(str(shell.ledger), flags=apsw.SQLITE_OPEN_READONLY)
    tables = ("ledger", "purchases", "payments", "pins", "audit", "totals", "quotes")
    rows = [list(connection.execute(f"SELECT * FROM {table} ORDER BY 1")) for table in tables]
    connection.close()
    return repr(rows).encode()


async def test_simulating_the_original_policy_gives_the_recorded_decisions(filled: Shell) -> None:
    path = written(filled, BUILT_IN)
    told = printed(filled.run("policy", "simulate", path, "--json"), "simulate")
    assert told["changed"] == []
    assert told["recorded"] == told["simulated"]
    assert told["decisions"] == told["judged"] == 25
    assert (told["recorded"]["refused"], told["recorded"]["needs_approval"]) == (6, 2)
    database = await SQLite.open(filled.ledger, "real")
    total = await database.read(lambda tx: tx.one("SELECT amount FROM totals WHERE scope = 'wallet'"))
    await database.close()
    assert total is not None
    assert told["recorded"]["spent_usd"] == usd(total["amount"])


async def test_another_policy_is_simulated_with_what_it_would_have_spent(filled: Shell) -> None:
    before = dump(filled)
    path = written(filled, BUILT_IN.replace('per_payment = "2.50"', 'per_payment = "1.00"'))
    as_json, as_text = filled.run_each(["policy", "simulate", path, "--json"], ["policy", "simulate", path])
    told = printed(as_json, "simulate")
    changes = [
        (one["at"], one["cost_usd"], one["recorded"]["code"], one["simulated"]["code"]) for one in told["changed"]
    ]
    assert changes == [
        ("2023-11-14T22:13:20Z", "1.2015", "allowed", "per_payment"),
        ("2023-11-14T22:13:20Z", "2.00", "above_approval", "per_payment"),
        ("2023-11-14T22:13:20Z", "0.36", "balance", "allowed"),
        ("2023-11-14T22:23:20Z", "0.36", "per_hour", "allowed"),
    ]
    assert (told["recorded"]["spent_usd"], told["simulated"]["spent_usd"]) == ("5.89", "5.05")
    assert (as_text.code, as_text.err) == (0, "")
    lines = [line.split() for line in as_text.out.splitlines()]
    assert lines[0][:3] == ["25", "decisions", "from"]
    assert lines[4:8] == [
        ["allowed", "17", "18"],
        ["needs", "approval", "2", "1"],
        ["refused", "6", "6"],
        ["spent", "$5.89", "$5.05"],
    ]
    assert [line[5:] for line in lines[11:]] == [
        ["allowed", "refused", "per_payment"],
        ["needs", "approval", "refused", "per_payment"],
        ["refused", "allowed", "balance"],
        ["refused", "allowed", "per_hour"],
    ]
    assert dump(filled) == before, "nothing is changed by looking"


async def test_what_a_human_approved_was_asked_and_is_spent_again(shell: Shell) -> None:
    database = await SQLite.open(shell.ledger, "real")
    desk, asking = Desk(database), approvals.Asking(900_000, lambda usage, verdict: verdict.reason)
    dear: dict[str, Any] = {"price": 2_000_000, "table": 2_000_000}
    asked = await reserve(desk, "dear", RULES, asking, **dear)
    assert isinstance(asked, Purchase)
    assert asked.payment.state is State.INTENDED
    desk.now += 60_000
    await database.write(approvals.answer, must(asked.approval), approved=True, by="the operator", now=desk.now)
    granted = await reserve(desk, "dear", RULES, asking, **dear)
    assert isinstance(granted, Purchase)
    for move in SETTLED:
        assert await desk.move(granted.payment, move)
    await database.close()
    same, strict = shell.run_each(
        ["policy", "simulate", written(shell, BUILT_IN), "--json"],
        ["policy", "simulate", written(shell, BUILT_IN.replace('"5.00"', '"1.99"'), "strict.toml"), "--json"],
    )
    told = printed(same, "simulate")
    assert told["changed"] == []
    assert told["recorded"] == told["simulated"]
    assert told["simulated"] == {"allowed": 0, "needs_approval": 2, "refused": 0, "spent_usd": "2.00"}
    told = printed(strict, "simulate")
    assert told["simulated"] == {"allowed": 0, "needs_approval": 0, "refused": 2, "spent_usd": "0.00"}


def test_an_empty_history_and_a_broken_file_are_told(shell: Shell) -> None:
    good, broken = written(shell, BUILT_IN), written(shell, BUILT_IN + "x = 1\n", "broken.toml")
    empty, as_json, refused, missing = shell.run_each(
        ["policy", "simulate", good],
        ["policy", "simulate", good, "--json"],
        ["policy", "simulate", broken],
        ["policy", "simulate", "nowhere.toml"],
    )
    assert (empty.code, empty.out) == (0, "Nothing has been decided yet.\n")
    assert printed(as_json, "simulate")["from"] is None
    assert (refused.code, refused.out) == (2, "")
    assert refused.complaint.startswith(f"{broken}: the policy has an unknown key `rails.x`; allowed are order")
    assert refused.complaint.endswith("(at line 20, column 1).")
    assert (missing.code, missing.out) == (2, "")


async def test_what_is_explained_is_what_would_be_decided(filled: Shell) -> None:
    text = BUILT_IN + '[models.upload]\ntotal = "0.02"\n[agents.ada]\ntotal = "0.10"\n'
    path, before, rules = written(filled, text), dump(filled), parse_policy(text)
    requests: list[tuple[list[str], dict[str, Any]]] = [
        (["seedance-fast", "5s", "720p", "--generation", "1"],
         {"model": "seedance-fast", "price": 50_000, "table": 50_000, "generation": 1}),
        (["seedance", "--agent", "someone-else"],
         {"agent": "someone-else", "price": 1_200_000, "table": 1_200_000, "generation": 2}),
        (["8s", "1080p"], {"price": 4_320_000, "table": 4_320_000, "generation": 2}),
        (["upload"], {"model": "upload", "price": 10_000, "table": 10_000, "generation": None}),
        (["upload", "--price", "0.0126"],
         {"model": "upload", "price": 12_600, "table": 10_000, "generation": None}),
        (["seedance-fast 4k", "--price", "0.12", "--agent", "ada"],
         {"agent": "ada", "model": "seedance-fast", "price": 120_000, "table": None, "generation": 2}),
        (["4k", "--price", "0.42"], {"price": 420_000, "table": None, "generation": 2}),
    ]  # fmt: skip
    ran = filled.run_each(*(["policy", "explain", *words, "--json"] for words, _ in requests), POLICY=path)
    database = await SQLite.open(filled.ledger, "real")
    codes = []
    for (_, asked), one in zip(requests, ran, strict=True):
        told = printed(one, "explain")
        wanted = proposal(**{"agent": "default", "pay_to": SHIPPED_PAY_TO, "shipped_pay_to": SHIPPED_PAY_TO} | asked)
        needed = [(scope, window) for scope, _ in scopes(rules, wanted.model, wanted.agent) for window in WINDOWS]
        used = await database.read(views.usage, needed, STUDIO_URL, BASE_USDC.rail, BASE_USDC.address, now())
        verdict = decide(rules, used, wanted)
        assert (told["code"], told["reason"]) == (verdict.code, verdict.reason)
        assert [rule["rule"] for rule in told["rules"] if rule["decides"]] == (
            [] if verdict.code == "allowed" else [verdict.code]
        )
        codes.append(verdict.code)
    await database.close()
    assert codes == ["new_generation", "unresolved", "per_payment", "allowed", "over_table", "total", "no_table_price"]
    assert dump(filled) == before, "nothing is changed by looking"


async def test_every_rule_is_printed_with_its_numbers_and_the_one_that_decides(filled: Shell) -> None:
    ran = filled.run("policy", "explain", "seedance 5s 480p", "--agent", "someone-else", "--price", "0.46")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == "seedance, 5 s, 480p for someone-else: $0.46 over x402 (generation 2, price table: $0.45)"
    rows = [line.split() for line in lines]
    assert ["per_payment", "wallet", "$2.50", "$0.00", "$0.46", "holds"] in rows
    assert ["over_table", "$0.5625", "$0.00", "$0.46", "holds"] in rows
    assert ["frozen", "holds", "nothing", "is", "frozen"] in rows
    assert max(map(len, lines[:-1])) <= 100
    assert ["unresolved", "agent:someone-else", "1", "1", "1", "refuses,", "and", "decides"] in rows
    assert lines[-1] == (
        "Refused (unresolved): 1 payment has an unknown outcome of agent someone-else, and the limit is 1. "
        "Call check_job until it is resolved."
    )
    assert "\x1b" not in ran.out


def test_what_a_request_leaves_out_is_as_an_agent_s_clip_without_it() -> None:
    usual, wanted = ClipOrder(), parse_request([])
    assert (wanted.model, wanted.duration, wanted.resolution) == (usual.model, usual.duration, usual.resolution)
    assert parse_request(["480P,", "12 seedance-fast"]) == Request("seedance-fast", 12, "480p")


def test_a_request_that_cannot_be_read_is_wrong_usage(shell: Shell) -> None:
    requests = (["seedence"], ["5s", "6s"], ["--price", "much"], ["4k"], ["--rail", "cash"])
    ran = shell.run_each(*(["policy", "explain", *request] for request in requests))
    assert [(one.code, one.out) for one in ran] == [(2, "")] * len(requests)
    assert "did you mean 'seedance'?" in ran[0].err
    assert "there are two of duration: 5 and 6" in ran[1].err
    assert "'much' is not an amount in dollars" in ran[2].err
    assert "no row for seedance, 5 s, 4k (generation 1): give --price" in ran[3].err


def test_mistakes_are_found_all_at_once_with_line_and_column(shell: Shell) -> None:
    text = BUILT_IN.replace("\nper_day =", "\nper_dya =").replace('"0.25"', "0.25")
    number = written(shell, text, "number.toml")
    path = written(shell, text.replace("0.25", '"25%"'))
    as_text, as_json, of_number = shell.run_each(
        ["policy", "check"], ["policy", "check", path, "--json"], ["policy", "check", number], POLICY=path
    )
    assert (as_text.code, as_text.err) == (2, "")
    assert as_text.out == (
        f"{path}:5:1: error: the policy has an unknown key `caps.per_dya`; did you mean `per_day`?\n"
        f"{path}:13:1: error: the policy's price.over_table: '25%' is not a share: "
        'write digits with at most 6 decimals, like "0.25"\n'
        "2 errors, 0 warnings.\n"
    )
    told = printed(as_json, "check", code=2)
    assert [(one["key"], one["line"], one["column"]) for one in told["errors"]] == [
        ("caps.per_dya", 5, 1),
        ("price.over_table", 13, 1),
    ]
    assert f"{number}:13:1: error: the policy has the number 0.25" in of_number.out
    assert not shell.data.exists(), "a file is checked without a ledger"


def test_contradictions_are_warnings(shell: Shell) -> None:
    path = written(shell, BUILT_IN.replace('per_day = "10.00"', 'per_day = "10.00"\nper_week = "9"'))
    as_text, as_json = shell.run_each(["policy", "check", path], ["policy", "check", path, "--json"])
    warning = "per_day ($10.00) is above per_week ($9.00), so it never binds"
    assert (as_text.code, as_text.out) == (0, f"{path}:5:1: warning: {warning}\n0 errors, 1 warning.\n")
    told = printed(as_json, "check")
    assert told["warnings"] == [{"key": "caps.per_day", "message": warning, "line": 5, "column": 1}]
    assert told["valid"]


def test_a_file_that_is_fine_or_not_there_is_told_so(shell: Shell) -> None:
    path = written(shell, BUILT_IN)
    fine, none, named = shell.run_each(["policy", "check", path], ["policy", "check"], ["policy", "check", "--json"])
    assert (fine.code, fine.out) == (0, f"{path}: nothing is wrong with it.\n")
    assert (none.code, none.out.startswith("There is no file ")) == (0, True)
    assert not printed(named, "check")["exists"]
    lost = shell.run("policy", "check", POLICY=str(shell.home / "lost.toml"))
    assert (lost.code, "there is no such file, and SEEDANCE_POLICY names it" in lost.out) == (2, True)


def test_a_file_that_others_can_write_is_a_mistake_as_a_whole(shell: Shell) -> None:
    path = written(shell, BUILT_IN)
    Path(path).chmod(0o666)
    told = printed(shell.run("policy", "check", path, "--json"), "check", code=2)
    (mistake,) = told["errors"]
    assert "can be written by other users" in mistake["message"]
    assert (mistake["key"], mistake["line"]) == (None, None)


def test_the_policy_in_force_is_printed_as_a_file_with_where_it_comes_from(shell: Shell) -> None:
    path = written(shell, 'version = 1\n[caps]\nper_payment = "1"\nper_hour = "2"\nper_day = "3.5"\n')
    built_in, as_json, of_file = shell.run_each(
        ["policy", "show"], ["policy", "show", "--json"], ["policy", "show", "--schema"]
    )
    assert "# In force: built in, since there is no file " in built_in.out
    assert f"# SHA-256 of its text: {RULES.digest}" in built_in.out
    assert parse_policy(built_in.out).caps == RULES.caps
    told = printed(as_json, "show")
    assert (told["source"], told["file"], told["digest"]) == ("built-in", None, RULES.digest)
    assert json.loads(of_file.out) == policy_schema()
    as_text, as_json = shell.run_each(["policy", "show"], ["policy", "show", "--json"], POLICY=path)
    assert as_text.out.startswith(f"# In force: the file {path}\n")
    told = printed(as_json, "show")
    assert (told["source"], told["file"]) == ("file", path)
    assert told["policy"]["caps"] == {"per_payment": "1.00", "per_hour": "2.00", "per_day": "3.50"}
    assert told["policy"]["price"] == {"over_quote": "0.00", "over_table": "0.25"}


async def test_no_policy_is_in_force_once_the_file_that_was_there_is_gone(shell: Shell) -> None:
    database = await SQLite.open(shell.ledger, "real")
    await database.write(operator.policy_seen, file=True)
    await database.close()
    shown, explained = shell.run_each(["policy", "show"], ["policy", "explain"])
    for ran in (shown, explained):
        assert (ran.code, ran.out) == (2, "")
        assert ran.complaint.endswith("is not there, so nothing is bought.")


def test_help_is_given_for_every_command(shell: Shell) -> None:
    commands = ("check", "show", "explain", "simulate")
    whole, *each = shell.run_each(["policy", "--help"], *(["policy", name, "--help"] for name in commands))
    assert [line.split()[0] for line in whole.out.partition("Commands:\n")[2].splitlines()] == sorted(commands)
    for ran in each:
        assert (ran.code, ran.err) == (0, "")
        assert "--json" in ran.out
