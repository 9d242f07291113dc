"""What is raised from the ledger, how often, and that it holds up nobody."""

import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import pytest

from seedance_mcp.alerts import alerts as watching
from seedance_mcp.alerts import webhook as sending
from seedance_mcp.alerts.alerts import MOST_RECIPIENTS, Alerts
from seedance_mcp.alerts.happenings import Recipient
from seedance_mcp.app import open_app
from seedance_mcp.clip_order import ClipOrder
from seedance_mcp.errors import InvalidPolicy, LedgerBusy
from seedance_mcp.guard.policy import Policy
from seedance_mcp.guard.usage import HOUR
from seedance_mcp.ledger.sqlite import SQLite
from seedance_mcp.ledger.states import DAY, State
from seedance_mcp.orders import SHIPPED_PAY_TO
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.settings import Settings
from tests.alerts.receiver import Receiver
from tests.e2e.home import KEY, Home
from tests.e2e.shop import Shop
from tests.guard.examples import OTHER, PAY_TO, policy
from tests.ledger.examples import CLIP, SELLER, USDC, Desk, intent

ROOMY = policy(per_hour=1000 * CLIP, per_day=1000 * CLIP)
NEAR = replace(ROOMY, caps=replace(ROOMY.caps, per_hour=CLIP * 10 // 8))
"""One clip is 80 percent of an hour's limit, to the micro-dollar."""
EIGHTY = "80 % of the limit of $0.45 per hour is reached: $0.36 is used"


@dataclass
class Tower:
    """One process that looks at ``desk``, and everything that it has said."""

    desk: Desk
    log: pytest.LogCaptureFixture
    policy: Policy | None = field(default_factory=lambda: ROOMY)

    def __post_init__(self) -> None:
        self.alerts = Alerts(database=self.desk.database, policy=self._policy, webhook=None, now=lambda: self.desk.now)

    async def _policy(self) -> Policy:
        if self.policy is None:
            raise InvalidPolicy("the policy cannot be read")
        return self.policy

    async def says(self) -> Sequence[str]:
        """What it says after one look, up to the first bracket."""
        self.log.clear()
        await self.alerts.look()
        assert all(record.levelno == logging.WARNING for record in self.log.records)
        return [record.getMessage().removeprefix("Alert: ").partition(" (")[0] for record in self.log.records]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    database = await SQLite.open(tmp_path / "ledger.db", "real")
    yield Desk(database)
    await database.close()


@pytest.fixture
def tower(desk: Desk, caplog: pytest.LogCaptureFixture) -> Tower:
    return Tower(desk, caplog)


async def test_a_limit_is_told_once_and_again_after_it_was_below(tower: Tower, desk: Desk) -> None:
    tower.policy = NEAR
    assert await tower.says() == []
    await desk.at(State.SETTLED, intent("one"))
    assert await tower.says() == [EIGHTY]
    assert await tower.says() == []
    desk.now += HOUR + 1
    assert await tower.says() == []
    await desk.at(State.SETTLED, intent("two"))
    assert await tower.says() == [EIGHTY]


async def test_a_reservation_that_comes_back_is_below_again(tower: Tower, desk: Desk) -> None:
    tower.policy = NEAR
    payment = await desk.at(State.RESERVED)
    assert await tower.says() == [EIGHTY]
    await desk.move(payment, State.RELEASED)
    assert await tower.says() == []
    await desk.at(State.RESERVED, intent("two"))
    assert await tower.says() == [EIGHTY]


async def test_servers_on_one_ledger_tell_once_and_leave_limits_alone_that_are_not_theirs(
    tower: Tower, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    tower.policy = NEAR
    others = [Tower(desk, caplog, NEAR), Tower(desk, caplog, ROOMY), Tower(desk, caplog, None)]
    await desk.at(State.SETTLED)
    said = [await one.says() for one in (tower, *others, tower, *others)]
    assert said == [[EIGHTY], *[[]] * 7]


async def test_towers_that_look_at_once_tell_once(
    tower: Tower, tmp_path: Path, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    tower.policy = NEAR
    databases = [await SQLite.open(tmp_path / "ledger.db", "real") for _ in range(4)]
    towers = [tower, *(Tower(Desk(database), caplog, NEAR) for database in databases)]
    await desk.at(State.SETTLED)
    async with anyio.create_task_group() as group:
        for one in towers:
            group.start_soon(one.alerts.look)
    for database in databases:
        await database.close()
    assert len(caplog.records) == 1


async def test_a_payment_without_an_answer_is_told_once_whatever_becomes_of_it(tower: Tower, desk: Desk) -> None:
    for state in (State.SIGNED, State.SENT, State.CLAIMED, State.SETTLED):
        await desk.at(state, intent(state))
    assert await tower.says() == []
    unknown = await desk.at(State.UNKNOWN, intent("unknown"))
    told = "A payment of $0.36 for seedance left and has no answer"
    assert await tower.says() == [told]
    assert await tower.says() == []
    await desk.move(unknown, State.EXPIRED)
    assert await tower.says() == []
    await desk.at(State.UNKNOWN, intent("another"))
    assert await tower.says() == [told]


async def test_a_sent_payment_of_a_process_that_died_has_no_answer_either_and_a_signed_one_never_left(
    tower: Tower, desk: Desk
) -> None:
    await desk.at(State.SENT, intent("sent"))
    await desk.at(State.SIGNED, intent("signed"))
    assert await tower.says() == []
    desk.now += 60_000
    assert len(await tower.says()) == 1


async def test_what_left_is_told_even_without_a_policy(tower: Tower, desk: Desk) -> None:
    tower.policy = None
    await desk.at(State.UNKNOWN)
    assert len(await tower.says()) == 1


async def test_a_stranger_is_told_once_a_day_and_known_recipients_never(tower: Tower, desk: Desk) -> None:
    def named(pay_to: str, rail: str = "x402") -> None:
        tower.alerts.see([Recipient(SELLER, rail, USDC, pay_to)])

    named(SHIPPED_PAY_TO)
    assert await tower.says() == []
    await desk.at(State.SETTLED, intent(pay_to=PAY_TO))
    named(PAY_TO)
    named(PAY_TO.lower())
    named(OTHER, rail="lightning")
    assert await tower.says() == []
    named(OTHER)
    named(OTHER, rail="mpp")
    (said,) = await tower.says()
    assert said.startswith(f"{SELLER} wants to be paid at {OTHER} over x402, and known is {PAY_TO}: nothing is paid")
    named(OTHER.lower())
    assert await tower.says() == []
    desk.now += DAY
    named(OTHER)
    assert len(await tower.says()) == 1


async def test_a_seller_with_a_new_recipient_each_time_fills_no_memory(tower: Tower) -> None:
    for number in range(1000):
        tower.alerts.see([Recipient(SELLER, "x402", USDC, f"0x{number:040x}")])
    assert len(await tower.says()) == MOST_RECIPIENTS


async def test_a_seller_fills_no_day_with_new_recipients(
    tower: Tower, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    other = Tower(desk, caplog)

    async def told(one: Tower, first: int) -> int:
        one.alerts.see(Recipient(SELLER, "x402", USDC, f"0x{first + number:040x}") for number in range(15))
        return len(await one.says())

    assert [await told(tower, 0), await told(other, 100), await told(tower, 200)] == [15, MOST_RECIPIENTS - 15, 0]
    await desk.at(State.UNKNOWN)
    assert len(await tower.says()) == 1, "what is not about recipients has room"
    desk.now += DAY
    assert await told(other, 300) == 15


async def test_room_is_taken_once_by_whoever_is_named_on_both_rails(tower: Tower) -> None:
    def named(number: int, rail: str) -> Recipient:
        return Recipient(SELLER, rail, USDC, f"0x{number:040x}")

    tower.alerts.see(named(number, "x402") for number in range(MOST_RECIPIENTS - 4))
    assert len(await tower.says()) == MOST_RECIPIENTS - 4
    tower.alerts.see(named(100 + number, rail) for number in range(4) for rail in ("x402", "mpp"))
    assert len(await tower.says()) == 4


async def test_no_alert_holds_a_command_with_a_sellers_address(tower: Tower) -> None:
    stranger = Recipient(SELLER, "x402", USDC, OTHER)
    tower.alerts.see([stranger])
    (said,) = await tower.says()
    assert said.endswith(
        "nothing is paid there; check the address with the seller, then see `seedance-mcp trust --help`"
    )


async def test_where_the_policy_lists_who_is_paid_trust_is_not_advised(tower: Tower) -> None:
    tower.policy = replace(ROOMY, pay_to=(PAY_TO,))
    tower.alerts.see([Recipient(SELLER, "x402", USDC, OTHER)])
    (said,) = await tower.says()
    assert said.endswith(f"known is {PAY_TO}: nothing is paid there; the operator's policy lists who is paid")
    assert "trust" not in said


async def test_a_process_that_nobody_hears_raises_and_leaves_the_telling_to_another(tower: Tower, desk: Desk) -> None:
    unheard = Alerts(
        database=desk.database, policy=tower.alerts._policy, webhook=None, now=lambda: desk.now, heard=False
    )
    await desk.at(State.UNKNOWN)
    await unheard.look()
    assert tower.log.records == []
    await unheard.look()
    assert len(await tower.says()) == 1


async def test_a_look_that_fails_for_good_is_made_again_only_now_and_then(
    tower: Tower, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken() -> Policy:
        raise RuntimeError("for good")

    monkeypatch.setattr(tower.alerts, "_policy", broken)
    for name in ("one", "two"):
        assert await tower.alerts._is_news()
        with pytest.raises(RuntimeError):
            await tower.alerts.look()
        assert not await tower.alerts._is_news()
        await desk.at(State.SETTLED, intent(name))
    with pytest.raises(RuntimeError):
        await tower.alerts.look()
    tower.alerts.see([Recipient(SELLER, "x402", USDC, OTHER)])
    assert await tower.alerts._is_news()
    with pytest.raises(RuntimeError):
        await tower.alerts.look()
    assert not await tower.alerts._is_news(), "the stranger is still in mind"


async def test_a_look_that_failed_is_made_again_with_all_that_it_was_about(
    tower: Tower, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    tower.alerts.see([Recipient(SELLER, "x402", USDC, OTHER)])

    async def busy(*_: object) -> None:
        raise LedgerBusy("another process holds the ledger")

    with monkeypatch.context() as held:
        held.setattr(desk.database, "write", busy)
        with pytest.raises(LedgerBusy):
            await tower.alerts.look()
        await tower.alerts.finish()
    assert len(await tower.says()) == 1


class Said(logging.Handler):
    """Sets ``done`` when an alert with ``words`` is said."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self._words = words
        self.done = anyio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self._words in record.getMessage():
            self.done.set()


async def test_what_is_asked_for_is_in_no_log(shop: Shop, home: Home, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.INFO, logger="httpx")
    settings = Settings.from_env(dict(home.lacking("ALERT_URL").env))
    async with open_app(settings, wallet=Wallet.from_hex(KEY), sandbox=True) as app:
        assert (await app.clips.generate(clip("waves", shop.picture()))).purchase.paid
    assert not any("http" in record.getMessage() for record in caplog.records)


async def test_a_webhook_that_hangs_holds_up_no_purchase_and_no_word_on_stderr(
    shop: Shop, home: Home, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = Said("80 % of the limit of $0.90 per hour")
    watching.logger.addHandler(said)
    # Whoever waited for the webhook now would wait for ever.
    monkeypatch.setattr(sending, "PATIENCE", 100_000)
    monkeypatch.setattr(watching, "LAST_SECONDS", 0)
    home.write_policy({"per_hour": "0.50"})
    receiver.open.clear()
    settings = Settings.from_env(dict(home.env))
    async with open_app(settings, wallet=Wallet.from_hex(KEY), sandbox=True) as app, anyio.create_task_group() as group:
        group.start_soon(app.alerts.run)
        await app.clips.generate(clip("waves", shop.picture()))
        await receiver.next()
        home.write_policy({"per_hour": "0.90"})
        second = await app.clips.generate(clip("more waves", shop.picture()))
        assert second.purchase.paid
        await said.done.wait()
        assert not receiver.open.is_set(), "the message before is still unanswered"
        group.cancel_scope.cancel()
    watching.logger.removeHandler(said)
    assert len(receiver.got) == 1


def clip(prompt: str, image: str) -> ClipOrder:
    return ClipOrder(
        model="seedance", prompt=prompt, image=image, last_image=None, duration=5, resolution="720p",
        aspect_ratio="auto", generate_audio=None, camera_fixed=None, seed=None, take=1, quote_id=None, max_price=None,
    )  # fmt: skip
