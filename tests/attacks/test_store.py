"""A ledger that is full, read-only, locked, corrupt, old, new, or edited by somebody; a policy that is gone."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import anyio
import apsw
import pytest
from click.testing import CliRunner

import seedance_mcp.ledger.sqlite
import seedance_mcp.purchase
import seedance_mcp.sending
from seedance_mcp.cli import main
from tests.attacks.hostile import Conduct, Hostile, open_shop
from tests.attacks.rpc import Rpc
from tests.attacks.target import Clock, Target, open_target, settle_down, wall_clock
from tests.attacks.wire import Reply
from tests.e2e.home import Home

CLIP = 412_500
SPENT = {"per_hour": "0.50"}
"""Room for one clip."""


def protect(target: Target) -> None:
    """The disk is read-only from now on."""
    pragma(target, "query_only = 1")


def pragma(target: Target, what: str) -> None:
    target.app.database._connection.execute(f"PRAGMA {what}").fetchall()  # type: ignore[attr-defined]


def overwrite(target: Target) -> None:
    """Somebody else writes over the file, while it is open and into what is to be merged into it."""
    for path in target.home.ledger.parent.glob("ledger.db*"):
        if path.is_file():
            path.write_bytes(b"\xa5" * max(path.stat().st_size, 65_536))


LONG = "waves " * 300
"""Leaves little room in a page."""


async def test_a_disk_that_fills_up_stops_every_payment_that_it_has_no_room_for(newcomer: Target) -> None:
    pragma(newcomer, "max_page_count = 1")  # no page more than there are
    bought = 0
    while not (
        answer := await newcomer.agent.call("generate_video", **newcomer.request(prompt=f"{bought} {LONG}"))
    ).is_error:
        bought += 1
    assert answer.meta is not None
    assert answer.meta["seedance/error"]["code"] == "ledger_error"
    assert len(set(newcomer.seller.credentials)) == bought
    assert newcomer.counted >= newcomer.seller.takeable == bought * CLIP


@pytest.mark.parametrize("break_it", [protect, overwrite])
async def test_a_store_that_cannot_be_written_signs_nothing(
    newcomer: Target, break_it: Callable[[Target], None]
) -> None:
    break_it(newcomer)
    for prompt in (LONG, "waves"):
        problem = await newcomer.agent.fails("generate_video", **newcomer.request(prompt=prompt))
        assert (problem.code, problem.charged_usd) == ("ledger_error", "0.00")
        assert "Nothing was charged." in problem.text
    newcomer.home.picture()
    assert (await newcomer.agent.fails("upload_image", path="lake.png")).code == "ledger_error"
    assert newcomer.seller.credentials == []
    assert newcomer.wallet.payments == 0


@pytest.mark.parametrize("break_it", [protect, overwrite])
async def test_a_store_that_breaks_while_the_payment_is_on_its_way_is_told_as_an_open_outcome(
    hurried: None, newcomer: Target, break_it: Callable[[Target], None]
) -> None:
    newcomer.seller.behave(Conduct(paid=Reply(500)))
    newcomer.seller.before_goods = lambda _: break_it(newcomer)
    for _ in range(2):
        problem = await newcomer.agent.fails("generate_video", **newcomer.request(prompt=LONG))
        assert "Nothing was charged" not in problem.text or problem.code == "ledger_error"
    assert len(set(newcomer.seller.credentials)) == newcomer.wallet.payments == 1


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for a lock."""
    monkeypatch.setattr(seedance_mcp.ledger.sqlite, "BUSY_MS", 20)
    monkeypatch.setattr(seedance_mcp.sending, "RECORD_TRIES", 2)
    monkeypatch.setattr(seedance_mcp.purchase, "OTHERS_SECONDS", 1)


async def test_a_locked_store_is_busy_before_anything_is_signed(hurried: None, newcomer: Target) -> None:
    with closing(apsw.Connection(str(newcomer.home.ledger))) as other:
        other.execute("BEGIN IMMEDIATE")
        problem = await newcomer.refuses()
        assert problem.code == "ledger_busy"
        other.execute("ROLLBACK")
    await newcomer.buys()
    assert newcomer.signed.distinct == 1


async def test_a_store_locked_while_the_payment_is_on_its_way_is_not_told_as_nothing(
    hurried: None, newcomer: Target
) -> None:
    with closing(apsw.Connection(str(newcomer.home.ledger))) as other:
        newcomer.seller.before_goods = lambda _: other.execute("BEGIN IMMEDIATE")
        problem = await newcomer.agent.fails("generate_video", **newcomer.request())
        assert problem.code == "payment_unknown"
        newcomer.seller.before_goods = None
        other.execute("ROLLBACK")
    again = await newcomer.agent.call("generate_video", **newcomer.request())
    assert len(set(newcomer.seller.credentials)) == 1
    assert "Nothing was charged" not in str(again.content)
    assert newcomer.counted == CLIP


async def test_a_store_that_is_no_ledger_is_left_alone_and_sells_nothing(seller: Hostile, tmp_path: Path) -> None:
    content = b"SQLite format 3\0" + b"\xff" * 9_000
    home = settle_down(tmp_path / "home", seller)
    home.ledger.parent.mkdir()
    home.ledger.write_bytes(content)
    async with home.server() as agent:
        problem = await agent.fails("generate_video", prompt="waves", image=seller.image)
        assert problem.code == "ledger_error"
    assert seller.credentials == []
    assert home.ledger.read_bytes() == content


# Old backups, fresh volumes, second ledgers


async def bought(home: Home, seller: Hostile, clock: Clock, *hosts: Rpc, prompt: str = "waves") -> None:
    async with open_target(home, seller, clock) as target:
        await target.buys(prompt=prompt)
    for host in hosts:
        host.take(seller.authorizations[-1])


def forget_purchases(home: Home) -> None:
    """The volume is a fresh one; what lies beside the wallet's key stays."""
    shutil.rmtree(home.ledger.parent)


@pytest.fixture
def chain(rpc: Rpc) -> Rpc:
    rpc.believe()
    rpc.taken.clear()
    return rpc


async def test_a_clip_that_a_lost_ledger_bought_is_not_bought_again(
    seller: Hostile, clock: Clock, chain: Rpc, tmp_path: Path
) -> None:
    home = settle_down(tmp_path / "home", seller, chain)
    await bought(home, seller, clock, chain)
    forget_purchases(home)
    async with open_target(home, seller, clock) as target:
        problem = await target.refuses()
        assert problem.code not in {"internal", "failed"}
    assert len(set(seller.credentials)) == 1


async def test_a_lost_ledger_and_no_chain_lead_to_the_same_nonce_which_moves_once(
    seller: Hostile, clock: Clock, tmp_path: Path
) -> None:
    home = settle_down(tmp_path / "home", seller)
    await bought(home, seller, clock)
    forget_purchases(home)
    async with open_target(home, seller, clock) as target:
        await target.agent.call("generate_video", **target.request())
    assert seller.takeable == CLIP


@pytest.mark.parametrize("how", ["a fresh volume", "an old backup", "a second ledger"])
async def test_another_ledger_is_not_a_fresh_budget(
    seller: Hostile, clock: Clock, chain: Rpc, tmp_path: Path, how: str
) -> None:
    home = settle_down(tmp_path / "home", seller, chain)
    home.write_policy(SPENT)
    async with open_target(home, seller, clock):
        pass
    pipes = shutil.ignore_patterns("*-bells")
    backup = shutil.copytree(home.ledger.parent, tmp_path / "backup", ignore=pipes)
    await bought(home, seller, clock, chain)
    if how == "a second ledger":
        home = home.having(LEDGER=f"sqlite:{tmp_path / 'second' / 'ledger.db'}")
    else:
        forget_purchases(home)
        if how == "an old backup":
            shutil.copytree(backup, home.ledger.parent)
    async with open_target(home, seller, clock) as target:
        for prompt in ("other waves", "more waves"):
            await target.agent.call("generate_video", **target.request(prompt=prompt))
    assert seller.takeable == CLIP


# The policy


@pytest.mark.parametrize(
    "content", ["", "version = 1\n[caps\n", "version = 2\n", "version = 1\n[caps]\nper_hour = 9999.0\n", "\0"]
)
async def test_a_policy_broken_while_running_lets_nothing_more_through(newcomer: Target, content: str) -> None:
    newcomer.home.write_policy(SPENT)
    await newcomer.buys()
    newcomer.home.policy.write_text(content)
    assert (await newcomer.refuses(prompt="more waves")).code in {"per_hour", "invalid_policy"}


async def test_a_policy_deleted_while_running_stops_purchases_and_not_recovery(
    seller: Hostile, clock: Clock, chain: Rpc, tmp_path: Path
) -> None:
    home = settle_down(tmp_path / "home", seller, chain)
    async with open_target(home, seller, clock) as target:
        seller.behave(Conduct(paid=Reply(500)))
        await target.agent.call("generate_video", **target.request())
        home.policy.unlink()
        seller.behave()
        assert (await target.refuses(prompt="more waves")).code == "invalid_policy"
        chain.take(seller.authorizations[-1])
        await target.app.recovery.sweep()
        assert target.states == ["settled"]
    home.write_policy()
    unnamed = home.having(POLICY="")
    unnamed.policy.unlink()
    async with open_target(unnamed, seller, clock) as target:
        assert (await target.refuses(prompt="more waves")).code == "invalid_policy"


@pytest.mark.parametrize("where", ["images", "clips"])
async def test_a_policy_that_an_agent_could_write_is_none(
    seller: Hostile, clock: Clock, tmp_path: Path, where: str
) -> None:
    home = settle_down(tmp_path / "home", seller)
    planted = home.folder / where / "policy.toml"
    planted.write_bytes(home.policy.read_bytes())
    planted.chmod(0o600)
    async with open_target(home.having(POLICY=str(planted)), seller, clock) as target:
        assert (await target.refuses()).code == "invalid_policy"


async def test_a_policy_that_others_may_write_is_none_from_then_on(newcomer: Target) -> None:
    newcomer.home.write_policy(SPENT)
    await newcomer.buys()
    newcomer.home.write_policy()
    newcomer.home.policy.chmod(0o666)
    assert (await newcomer.refuses(prompt="more waves")).code in {"per_hour", "invalid_policy"}


# The audit log


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A ledger with two purchases and a refusal; the server behind it is gone."""

    async def make() -> Home:
        clock = Clock(wall_clock())
        async with open_shop(clock) as seller:
            home = settle_down(tmp_path_factory.mktemp("audited") / "home", seller)
            async with open_target(home, seller, clock) as target:
                await target.buys(prompt="one")
                await target.buys(prompt="two")
                await target.refuses(prompt="three", max_price_usd="0.10")
        return home

    return anyio.run(make)


TAMPER = {
    "an entry edited": "UPDATE audit SET entry = replace(entry, '412500', '412501') WHERE seq = 1",
    "an entry and its hash edited": "UPDATE audit SET entry = '{}', hash = zeroblob(32) WHERE seq = 2",
    "two entries swapped": "UPDATE audit SET seq = CASE seq WHEN 2 THEN 3 ELSE 2 END + 1000 WHERE seq IN (2, 3); "
    "UPDATE audit SET seq = seq - 1000 WHERE seq > 1000",
    "the first entry gone": "DELETE FROM audit WHERE seq = 1",
    "an entry gone": "DELETE FROM audit WHERE seq = 3",
    "an entry gone and the others moved up": "DELETE FROM audit WHERE seq = 3; "
    "UPDATE audit SET seq = seq - 1 WHERE seq > 3",
    "the last move gone": "DELETE FROM audit WHERE seq > 5",
    "the last entry gone": "DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)",
    "all gone": "DELETE FROM audit",
    "a payment edited": "UPDATE payments SET state = 'expired' WHERE id = 1",
    "an amount edited": "UPDATE payments SET amount = 1 WHERE id = 1",
    "a recipient edited": "UPDATE payments SET pay_to = '0x' || hex(zeroblob(20)) WHERE id = 1",
    "a total edited": "UPDATE totals SET amount = 1",
    "a limit's end edited": "UPDATE payments SET counted_at = 1 WHERE id = 1",
}


def tampered(audited: Home, folder: Path, script: str) -> Home:
    home = Home(folder / "home", audited.settings)
    shutil.copytree(audited.folder, home.folder)
    with closing(sqlite3.connect(home.ledger)) as ledger:
        triggers = [name for (name,) in ledger.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
        for trigger in triggers:
            ledger.execute(f"DROP TRIGGER {trigger}")
        ledger.executescript(script)
    return home


def verify(home: Home) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["audit", "verify"], env=dict(home.env))
    return result.exit_code, result.output


def test_an_untouched_audit_log_is_intact(audited: Home, tmp_path: Path) -> None:
    code, told = verify(tampered(audited, tmp_path, ""))
    assert (code, told.endswith("all intact.\n")) == (0, True), told


@pytest.mark.parametrize("script", TAMPER.values(), ids=TAMPER)
def test_an_audit_log_that_was_edited_reordered_or_shortened_is_found_out(
    audited: Home, tmp_path: Path, script: str
) -> None:
    code, told = verify(tampered(audited, tmp_path, script))
    assert code == 1, told
    assert "Traceback" not in told
