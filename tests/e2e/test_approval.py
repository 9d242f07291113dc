"""A human is asked before a payment above the policy's limit, by the client where it can, else by a command."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from jsonschema import Draft202012Validator
from mcp import MCPError
from mcp_types import ElicitRequestParams, ElicitResult

from tests.e2e.home import Agent, Home
from tests.e2e.shop import Shop
from tests.report import schemas

CLIP = 412_500
Mode = Literal["auto", "legacy"]


@dataclass
class Human:
    """Answers each question with ``action`` and ``content``, after ``meanwhile`` happened; remembers what was asked."""

    action: Literal["accept", "decline", "cancel"] = "accept"
    content: dict[str, Any] | None = field(default_factory=lambda: {"approve": True})
    asked: list[str] = field(default_factory=list)
    silent: bool = False
    meanwhile: Callable[[], object] = lambda: None

    async def __call__(self, context: object, params: ElicitRequestParams) -> ElicitResult:
        self.asked.append(params.message)
        self.meanwhile()
        if self.silent:
            await anyio.sleep_forever()
        return ElicitResult(action=self.action, content=self.content if self.action == "accept" else None)


@pytest.fixture(params=["auto", "legacy"])
def mode(request: pytest.FixtureRequest) -> Mode:
    era: Mode = request.param
    return era


@pytest.fixture
def careful(shop: Shop, tmp_path: Path) -> Home:
    """Somebody who wants to be asked about every clip."""
    home = shop.home(tmp_path / "home")
    home.write_policy(above="0.40")
    return home


@asynccontextmanager
async def asked(home: Home, mode: Mode, human: Human | None) -> AsyncIterator[Agent]:
    async with home.server(mode=mode, human=human) as agent:
        yield agent


def states(home: Home) -> list[str]:
    return [row["state"] for row in home.payments()]


async def test_an_accepted_question_is_paid_once_at_the_price_that_was_shown(
    shop: Shop, careful: Home, mode: Mode
) -> None:
    human, image = Human(), shop.picture()
    async with asked(careful, mode, human) as agent:
        bought = await agent.ok("generate_video", prompt="waves", image=image)
        again = await agent.ok("generate_video", prompt="waves", image=image)
    assert (bought["charged_usd"], bought["duplicate"], again["duplicate"]) == ("0.4125", False, True)
    (question,) = human.asked
    assert question.startswith("Pay $0.4125 for a clip of 5 s at 720p (seedance, take 1, agent default)")
    assert shop.origin in question
    assert "$0.4125 is above the approval limit of $0.40" in question
    assert (len(shop.credentials), shop.taken) == (1, CLIP)
    assert states(careful) == ["released", "settled"] or states(careful) == ["released", "claimed"]


async def test_a_yes_is_for_the_price_that_was_read_though_the_seller_raises_it_meanwhile(
    shop: Shop, careful: Home, mode: Mode
) -> None:
    human, image = Human(meanwhile=lambda: setattr(shop.sandbox.faults, "quote_extra", 90_000)), shop.picture()
    async with asked(careful, mode, human) as agent:
        answer = await agent.ok("generate_video", prompt="waves", image=image)
    assert human.asked[0].startswith("Pay $0.4125 ")
    if mode == "legacy":  # where a call can ask once
        assert (answer["status"], answer["charged_usd"], shop.taken) == ("awaiting_approval", "0.00", 0)
        assert [job["status"] for job in json.loads(careful.run("jobs", "--json"))] == ["awaiting_approval"]
    else:
        assert human.asked[1].startswith("Pay $0.5025 ")
        assert (len(human.asked), answer["charged_usd"], shop.taken) == (2, "0.5025", 502_500)


@pytest.mark.parametrize("human", [Human("decline"), Human(content={"approve": False})])
async def test_a_no_holds_for_the_same_request_and_signs_nothing(
    shop: Shop, careful: Home, mode: Mode, human: Human
) -> None:
    human.asked.clear()
    image = shop.picture()
    async with asked(careful, mode, human) as agent:
        answer = await agent.ok("generate_video", prompt="waves", image=image)
        again = await agent.fails("generate_video", prompt="waves", image=image)
        seen = await agent.ok("check_job", purchase_id=answer["purchase_id"])
    assert (answer["status"], answer["job_id"], answer["charged_usd"]) == ("denied", None, "0.00")
    assert (again.code, seen["status"]) == ("denied", "denied")
    assert "24 hours" in again.text
    assert len(human.asked) == 1
    assert (shop.credentials, states(careful)) == ([], ["intended"])


async def test_a_question_that_was_waved_away_waits_and_is_asked_again(shop: Shop, careful: Home, mode: Mode) -> None:
    human, image = Human("cancel"), shop.picture()
    async with asked(careful, mode, human) as agent:
        answer = await agent.ok("generate_video", prompt="waves", image=image)
        human.action = "accept"
        bought = await agent.ok("generate_video", prompt="waves", image=image)
    assert (answer["status"], answer["charged_usd"]) == ("awaiting_approval", "0.00")
    assert answer["purchase_id"] == bought["purchase_id"]
    assert human.asked[0] == human.asked[1]
    assert shop.taken == CLIP


async def test_a_client_that_gives_up_while_the_human_thinks_has_paid_nothing(shop: Shop, careful: Home) -> None:
    human, image = Human(silent=True), shop.picture()
    async with asked(careful, "legacy", human) as agent:
        with pytest.raises(MCPError):
            await agent.client.call_tool("generate_video", {"prompt": "waves", "image": image}, read_timeout_seconds=5)
        jobs = (await agent.ok("check_job"))["jobs"]
    assert [job["status"] for job in jobs] == ["awaiting_approval"]
    assert (shop.credentials, states(careful)) == ([], ["intended"])


async def test_without_a_form_to_ask_by_the_operator_approves_by_command_and_the_repeated_call_goes_through(
    shop: Shop, careful: Home, mode: Mode
) -> None:
    image = shop.picture()
    async with asked(careful, mode, None) as agent:
        waiting = await agent.ok("generate_video", prompt="waves", image=image)
        assert (waiting["status"], waiting["charged_usd"]) == ("awaiting_approval", "0.00")
        assert f"seedance-mcp approve {waiting['purchase_id']}" in waiting["next"]
        still = await agent.ok("generate_video", prompt="waves", image=image)
        assert (still["status"], still["purchase_id"]) == ("awaiting_approval", waiting["purchase_id"])
        told = careful.run("approve", waiting["purchase_id"], answer="y\n")
        bought = await agent.ok("generate_video", prompt="waves", image=image)
    assert "$0.4125" in told
    assert (bought["charged_usd"], bought["purchase_id"]) == ("0.4125", waiting["purchase_id"])
    assert shop.taken == CLIP


async def test_a_clip_from_a_local_picture_is_asked_about_before_its_upload_is_paid(shop: Shop, careful: Home) -> None:
    picture = careful.picture()
    async with asked(careful, "auto", None) as agent:
        waiting = await agent.ok("generate_video", prompt="waves", image=picture.name)
        assert (waiting["status"], shop.credentials) == ("awaiting_approval", [])
        approved = json.loads(careful.run("approve", waiting["purchase_id"], "--json", answer="y\n"))
        Draft202012Validator(schemas.ANSWER).validate(approved)
        bought = await agent.ok("generate_video", prompt="waves", image=picture.name)
    assert (bought["charged_usd"], bought["purchase_id"]) == ("0.4225", waiting["purchase_id"])


async def test_an_approval_is_for_the_price_that_was_asked_and_no_other(shop: Shop, careful: Home) -> None:
    image = shop.picture()
    async with asked(careful, "auto", None) as agent:
        waiting = await agent.ok("generate_video", prompt="waves", image=image)
        careful.run("approve", waiting["purchase_id"], answer="y\n")
        shop.sandbox.faults.quote_extra = 10_000
        dearer = await agent.ok("generate_video", prompt="waves", image=image)
        assert (dearer["status"], dearer["price_usd"]) == ("awaiting_approval", "0.4225")
        assert shop.credentials == []
        careful.run("approve", waiting["purchase_id"], answer="y\n")
        assert (await agent.ok("generate_video", prompt="waves", image=image))["charged_usd"] == "0.4225"
        another = await agent.ok("generate_video", prompt="waves", image=image, take=2)
    assert another["status"] == "awaiting_approval"
    assert len(shop.credentials) == 1


async def test_an_approval_under_another_policy_is_asked_for_again(shop: Shop, careful: Home) -> None:
    image = shop.picture()
    async with asked(careful, "auto", None) as agent:
        waiting = await agent.ok("generate_video", prompt="waves", image=image)
        careful.run("approve", waiting["purchase_id"], answer="y\n")
        careful.write_policy({"per_week": "900.00"}, above="0.40")
        again = await agent.ok("generate_video", prompt="waves", image=image)
    assert again["status"] == "awaiting_approval"
    assert shop.credentials == []


async def test_caps_hold_whatever_a_human_answers(shop: Shop, careful: Home) -> None:
    image = shop.picture()
    async with asked(careful, "auto", None) as agent:
        waiting = await agent.ok("generate_video", prompt="waves", image=image)
        careful.run("approve", waiting["purchase_id"], answer="y\n")
        careful.run("freeze")
        frozen = await agent.fails("generate_video", prompt="waves", image=image)
        careful.run("unfreeze", answer="y\n")
        assert (await agent.ok("generate_video", prompt="waves", image=image))["charged_usd"] == "0.4125"
        careful.write_policy({"per_day": "0.50"}, above="0.40")
        capped = await agent.fails("generate_video", prompt="more waves", image=image)
    assert (frozen.code, capped.code) == ("frozen", "per_day")
    assert shop.taken == CLIP


async def test_a_denied_purchase_cannot_be_approved_any_more(shop: Shop, careful: Home) -> None:
    image = shop.picture()
    async with asked(careful, "auto", None) as agent:
        waiting = await agent.ok("generate_video", prompt="waves", image=image)
        denied = json.loads(careful.run("deny", waiting["purchase_id"], "--json"))
        with pytest.raises(AssertionError, match="does not wait"):
            careful.run("approve", waiting["purchase_id"], answer="y\n")
        assert (await agent.fails("generate_video", prompt="waves", image=image)).code == "denied"
    Draft202012Validator(schemas.ANSWER).validate(denied)
    assert (denied["answer"], shop.credentials) == ("denied", [])
