"""Real servers and commands, and the webhook of their operator."""

import sqlite3
from contextlib import closing

from anyio.to_thread import run_sync
from eth_utils.address import to_checksum_address

from tests.alerts.receiver import SECRET, Message, Receiver
from tests.e2e.home import Home
from tests.e2e.raw import RawServer
from tests.e2e.shop import Shop

STRANGER = to_checksum_address("0x" + "5e" * 20)
CLIP = "0.4125"
NEAR = {"per_hour": "0.50"}
"""A limit that one clip uses up by 82.5 percent."""


def alerts_on_stderr(home: Home) -> list[str]:
    lines = home.stderr.read_text().splitlines()
    return [line.partition("Alert: ")[2] for line in lines if "Alert: " in line]


async def test_each_kind_of_alert_is_said_once_and_sent_signed(shop: Shop, home: Home, receiver: Receiver) -> None:
    home.write_policy(NEAR)
    picture = shop.picture()
    messages: list[Message] = []
    async with home.server() as agent:
        await agent.ok("generate_video", prompt="waves", image=picture)
        messages.append(await receiver.next())

        home.write_policy()
        shop.sandbox.faults.pay_to = STRANGER
        await agent.ok("estimate_cost", model="seedance", duration=5, resolution="720p", image=picture)
        messages.append(await receiver.next())
        shop.sandbox.faults.pay_to = None

        shop.sandbox.faults.answer = "lost"
        problem = await agent.fails("generate_video", prompt="more waves", image=picture)
        messages.append(await receiver.next())

        frozen = await run_sync(home.run, "freeze", "--why", "a leak")
        messages.append(await receiver.next())

    budget, recipient, unknown, freeze = (message.verified() for message in messages)
    assert budget["type"] == "budget.threshold_reached"
    assert budget["data"] == {
        "message": "80 % of the limit of $0.50 per hour is reached: $0.4125 is used ($0.00 of it held), $0.0875 is "
        "left",
        "scope": "wallet",
        "window": "hour",
        "threshold_percent": 80,
        "cap_usd": "0.50",
        "used_usd": CLIP,
        "held_usd": "0.00",
        "left_usd": "0.0875",
    }
    assert recipient["type"] == "recipient.changed"
    assert (recipient["data"]["pay_to"], recipient["data"]["seller"]) == (STRANGER, shop.origin)
    assert unknown["type"] == "payment.unknown"
    assert (unknown["data"]["purchase_id"], unknown["data"]["amount_usd"]) == (problem.purchase_id, CLIP)
    assert freeze["type"] == "spending.frozen"
    assert freeze["data"]["why"] == "a leak"
    assert len(receiver.got) == len({message.id for message in receiver.got}) == 4

    said = home.stderr.read_text() + frozen
    told = [message["data"]["message"] for message in (budget, recipient, unknown, freeze)]
    assert sorted(alerts_on_stderr(home)) == sorted(told)
    ledger = b"".join(file.read_bytes() for file in home.ledger.parent.rglob("*") if file.is_file())
    for secret in (SECRET, SECRET.removeprefix("whsec_"), "path-is-secret", receiver.url):
        assert secret not in said
        assert secret.encode() not in ledger
    assert not any(b"waves" in message.body for message in messages), "no word of the agent's"


async def test_what_a_killed_server_could_not_send_is_sent_by_the_next(
    shop: Shop, home: Home, receiver: Receiver
) -> None:
    home.write_policy(NEAR)
    receiver.open.clear()

    def buy_and_die(picture: str) -> None:
        with RawServer(home.having(AGENT="first")) as server:
            server.call("generate_video", prompt="waves", image=picture)
            first.append(receiver.taken())
            server.kill()

    first: list[Message] = []
    await run_sync(buy_and_die, shop.picture())
    receiver.open.set()
    with closing(sqlite3.connect(home.ledger)) as ledger, ledger:
        # The lease of the dead is over.
        ledger.execute("UPDATE alerts SET next_at = 0")
    async with home.server():
        again = await receiver.next()
    assert again.id == first[0].id
    assert again.body == first[0].body
    assert again.verified()["type"] == "budget.threshold_reached"


async def test_a_freeze_without_a_server_is_sent_by_the_command_itself(home: Home, receiver: Receiver) -> None:
    out = await run_sync(home.run, "freeze")
    assert out.startswith("Frozen: ")
    (message,) = receiver.got
    assert message.verified()["type"] == "spending.frozen"


async def test_a_freeze_succeeds_whatever_is_wrong_with_the_webhook(home: Home, receiver: Receiver) -> None:
    home = home.having(ALERT_SECRET_FILE=str(home.folder / "not-there"))
    assert (await run_sync(home.run, "freeze")).startswith("Frozen: ")
    assert receiver.got == []


async def test_two_servers_on_one_ledger_tell_and_send_once(shop: Shop, home: Home, receiver: Receiver) -> None:
    home.write_policy(NEAR)
    async with home.server() as agent, home.server():
        await agent.ok("generate_video", prompt="waves", image=shop.picture())
        await receiver.next()
    # Each has looked once more at its end, and sent what was left.
    assert len(receiver.got) == 1
    assert len(alerts_on_stderr(home)) == 1
