"""What the webhook gets, and what becomes of an alert by its answer."""

import base64
import logging
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import anyio
import httpx
import pytest
from anyio.abc import TaskGroup
from standardwebhooks import WebhookVerificationError

from seedance_mcp.alerts.signing import read_secret
from seedance_mcp.alerts.webhook import FIRST_PAUSE, LONGEST_PAUSE, Webhook, open_webhook, pause
from seedance_mcp.errors import InvalidSettings
from seedance_mcp.ledger import alerts
from seedance_mcp.ledger.alerts import LEASE, LIFE, Alert, Post
from seedance_mcp.ledger.sqlite import SQLite
from seedance_mcp.settings import Settings
from seedance_mcp.timing import now
from tests.alerts.receiver import SECRET, Message, Receiver, secret_file
from tests.corridor.skipping import SkippingLoop

posix = pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")


class Office:
    """A ledger with alerts, and a clock that runs ahead of the real one by ``later`` milliseconds."""

    def __init__(self, database: SQLite, settings: Settings) -> None:
        self.database = database
        self.settings = settings
        self.later = 0

    def now(self) -> int:
        return now() + self.later

    async def raise_alert(self, happening: str = "one") -> None:
        alert = Alert(happening, "budget.threshold_reached", "80 % is reached", {"cap_usd": "10.00"})
        await self.database.write(alerts.add, alert, self.now())

    async def deliver(self, webhook: Webhook | None = None) -> None:
        """All that is due, by a process of its own unless ``webhook`` is one."""
        if webhook is not None:
            await webhook.deliver(self.database)
            return
        async with open_webhook(self.settings, self.now) as opened:
            assert opened is not None
            await opened.deliver(self.database)

    async def post(self) -> Post:
        return await self.database.read(alerts.post, self.now())


@pytest.fixture
async def office(receiver: Receiver, tmp_path: Path) -> AsyncIterator[Office]:
    settings = Settings.from_env(
        {"SEEDANCE_ALERT_URL": receiver.url, "SEEDANCE_ALERT_SECRET_FILE": str(secret_file(tmp_path))}
    )
    database = await SQLite.open(tmp_path / "ledger.db", "real")
    yield Office(database, settings)
    await database.close()


async def test_the_public_library_finds_the_signature_right_and_every_change_of_it_wrong(
    office: Office, receiver: Receiver
) -> None:
    await office.raise_alert()
    await office.deliver()
    message = await receiver.next()
    assert message.verified()["data"] == {"message": "80 % is reached", "cap_usd": "10.00"}
    assert message.headers["content-type"] == "application/json"
    assert message.headers["user-agent"].startswith("seedance-mcp/")
    other = base64.b64encode(bytes(32)).decode()
    changed = [
        replace(message, body=message.body.replace(b"10.00", b"99.00")),
        Message({**message.headers, "webhook-id": "msg_other"}, message.body),
        Message({**message.headers, "webhook-timestamp": str(now() // 1000 + 1)}, message.body),
        Message({**message.headers, "webhook-signature": f"v1,{other}"}, message.body),
    ]
    for tampered in changed:
        with pytest.raises(WebhookVerificationError):
            tampered.verified()


@pytest.mark.parametrize("status", [500, 404, 302, 429])
async def test_a_failure_is_tried_again_with_the_same_id_and_a_signature_of_its_own(
    status: int, office: Office, receiver: Receiver
) -> None:
    receiver.answers = [status]
    await office.raise_alert()
    await office.deliver()
    assert await office.post() == Post(waiting=1)
    await office.deliver()
    assert len(receiver.got) == 1, "not before its time"
    office.later += 2 * FIRST_PAUSE
    await office.deliver()
    first, second = receiver.got
    assert (first.id, first.body) == (second.id, second.body)
    assert int(second.headers["webhook-timestamp"]) > int(first.headers["webhook-timestamp"])
    first.verified()
    second.verified()
    assert await office.post() == Post()
    office.later += LIFE // 2
    await office.deliver()
    assert len(receiver.got) == 2


async def test_a_receiver_that_is_gone_is_left_alone(
    office: Office, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers = [410]
    for happening in ("one", "two"):
        await office.raise_alert(happening)
    async with open_webhook(office.settings, office.now) as webhook:
        for _ in range(2):
            await office.deliver(webhook)
            office.later += LEASE
    assert len(receiver.got) == 1
    assert await office.post() == Post(waiting=1, lost=1)
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "wants no more alerts" in warning.getMessage()


async def test_two_processes_send_each_alert_once(office: Office, receiver: Receiver, tmp_path: Path) -> None:
    other = Office(await SQLite.open(tmp_path / "ledger.db", "real"), office.settings)
    for number in range(8):
        await office.raise_alert(f"happening {number}")
    async with anyio.create_task_group() as group:
        for process in (office, other):
            group.start_soon(process.deliver)
    await other.database.close()
    assert len(receiver.got) == len({message.id for message in receiver.got}) == 8


async def test_what_a_sender_that_was_stopped_left_is_sent_by_the_next(office: Office, receiver: Receiver) -> None:
    receiver.open.clear()
    await office.raise_alert()
    async with anyio.create_task_group() as group:
        await interrupted(group, office, receiver)
    receiver.open.set()
    await office.deliver()
    assert len(receiver.got) == 1, "its lease is not over"
    office.later += LEASE
    await office.deliver()
    assert [message.id for message in receiver.got] == [receiver.got[0].id] * 2
    assert await office.post() == Post()


async def interrupted(group: TaskGroup, office: Office, receiver: Receiver) -> None:
    """A delivery that ends when the receiver has the message and has not answered."""
    group.start_soon(office.deliver)
    await receiver.next()
    group.cancel_scope.cancel()


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"loop_factory": SkippingLoop})])
async def test_a_receiver_that_never_answers_is_given_up_within_the_lease(office: Office) -> None:
    async def hang(request: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError

    await office.raise_alert()
    async with httpx.AsyncClient(transport=httpx.MockTransport(hang)) as http:
        begun = anyio.current_time()
        await office.deliver(Webhook(http, "https://hooks.example", bytes(32), office.now))
        assert (anyio.current_time() - begun) * 1000 < LEASE
    assert await office.post() == Post(waiting=1)


async def test_nobody_there_is_a_failure_like_others(office: Office) -> None:
    office.settings = replace(office.settings, alert_url="http://127.0.0.1:9/")
    await office.raise_alert()
    await office.deliver()
    assert await office.post() == Post(waiting=1)


def test_pauses_grow_and_are_never_the_same_for_all() -> None:
    assert all(FIRST_PAUSE // 2 <= pause(1) < 2 * FIRST_PAUSE for _ in range(50))
    assert all(LONGEST_PAUSE // 2 <= pause(99) < 2 * LONGEST_PAUSE for _ in range(50))
    assert len({pause(9) for _ in range(50)}) > 1


async def test_without_a_usable_secret_there_is_no_webhook_and_a_word_about_it(
    office: Office, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = replace(office.settings, alert_secret_file=tmp_path / "nowhere")
    async with open_webhook(settings, now) as webhook:
        assert webhook is None
    assert "Alerts go to no webhook: the alerts' secret" in caplog.text
    async with open_webhook(replace(settings, alert_url=None), now) as webhook:
        assert webhook is None


async def test_a_url_without_a_secret_is_named_and_stops_nothing(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_webhook(replace(office.settings, alert_secret_file=None), now) as webhook:
        assert webhook is None
    assert "SEEDANCE_ALERT_URL is set without SEEDANCE_ALERT_SECRET_FILE" in caplog.text
    assert "openssl rand -base64 32" in caplog.text


async def test_the_url_is_in_no_log(office: Office, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.INFO, logger="httpx")
    receiver.answers = [500]
    await office.raise_alert()
    await office.deliver()
    assert len(receiver.got) == 1
    assert not any("path-is-secret" in record.getMessage() for record in caplog.records)


def write(text: str) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        path.write_text(text)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (Path.unlink, "cannot be read"),
        pytest.param(lambda path: path.chmod(0o640), "can be read by other users", marks=posix),
        (write("not base64!\n"), "does not hold 24 to 64 bytes in base64"),
        (write(""), "does not hold"),
        (write("whsec_" + base64.b64encode(bytes(23)).decode()), "does not hold"),
        (write(base64.b64encode(bytes(65)).decode()), "does not hold"),
    ],
)
def test_a_secret_that_cannot_be_used_says_why_and_not_what_it_is(
    spoil: Callable[[Path], None], problem: str, tmp_path: Path
) -> None:
    path = secret_file(tmp_path)
    spoil(path)
    with pytest.raises(InvalidSettings, match=problem) as caught:
        read_secret(path)
    assert caught.value.next
    assert "AAAA" not in str(caught.value)


def test_a_secret_is_the_same_with_and_without_its_prefix(tmp_path: Path) -> None:
    path = secret_file(tmp_path)
    with_prefix = read_secret(path)
    path.write_text(SECRET.removeprefix("whsec_") + "\r\n")
    assert read_secret(path) == with_prefix
