"""What a client sees before and after a call, in both eras of the protocol."""

from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest
from jsonschema import Draft202012Validator
from mcp_types import Tool

from seedance_mcp.money import parse_usd
from tests.e2e.home import Agent
from tests.e2e.shop import open_shop

READING = {"readOnlyHint": True, "openWorldHint": True}
PAYING = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": True, "openWorldHint": True}
CLIP = {"model", "duration", "resolution", "prompt", "image", "last_image", "aspect_ratio", "generate_audio",
        "camera_fixed", "seed", "quote_id", "max_price_usd", "take"}  # fmt: skip
ARGUMENTS = {
    "estimate_cost": CLIP,
    "upload_image": {"path", "url", "data", "filename"},
    "generate_video": CLIP,
    "check_job": {"job_id", "purchase_id", "wait_seconds"},
}
REQUIRED = {
    "estimate_cost": {"model", "duration", "resolution"},
    "upload_image": set(),
    "generate_video": {"prompt", "image"},
    "check_job": set(),
}
MODES: list[Literal["auto", "legacy"]] = ["auto", "legacy"]


@pytest.fixture(scope="module", params=MODES)
async def client(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> AsyncIterator[Agent]:
    async with open_shop() as shop:
        home = shop.home(tmp_path_factory.mktemp("surface") / "home")
        home.picture()
        async with home.server(mode=request.param) as agent:
            yield agent


async def tools(agent: Agent) -> dict[str, Tool]:
    return {tool.name: tool for tool in (await agent.client.list_tools()).tools}


async def test_four_tools_with_strict_arguments_that_are_all_described(client: Agent) -> None:
    listed = await tools(client)
    assert set(listed) == set(ARGUMENTS)
    for name, tool in listed.items():
        assert tool.title
        assert tool.description
        assert tool.input_schema["additionalProperties"] is False
        assert set(tool.input_schema["properties"]) == ARGUMENTS[name]
        assert set(tool.input_schema.get("required", [])) == REQUIRED[name]
        assert [key for key, value in tool.input_schema["properties"].items() if not value.get("description")] == []
        Draft202012Validator.check_schema(tool.input_schema)


async def test_only_the_two_that_pay_say_that_they_change_something(client: Agent) -> None:
    hints = {
        name: tool.annotations.model_dump(by_alias=True, exclude_none=True) if tool.annotations else None
        for name, tool in (await tools(client)).items()
    }
    assert hints == {
        "estimate_cost": READING,
        "upload_image": PAYING,
        "generate_video": PAYING,
        "check_job": READING,
    }


async def test_every_answer_fits_its_output_schema_and_stands_in_the_text_too(client: Agent) -> None:
    listed = await tools(client)
    clip = {"model": "seedance-fast", "duration": 4, "resolution": "480p"}

    async def ask(tool: str, **arguments: object) -> dict[str, Any]:
        answer = await client.ok(tool, **arguments)
        schema = listed[tool].output_schema
        assert schema is not None
        Draft202012Validator.check_schema(schema)
        Draft202012Validator(schema).validate(answer)
        assert answer.keys() == schema["properties"].keys()
        return answer

    quote = await ask("estimate_cost", **clip)
    upload = await ask("upload_image", path="lake.png")
    bought = await ask("generate_video", prompt="waves", image=upload["image_url"], **clip)
    one = await ask("check_job", job_id=bought["job_id"], wait_seconds=50)
    every = await ask("check_job")

    assert (quote["source"], quote["verdict"], quote["price_usd"]) == ("live_quote", "allowed", bought["price_usd"])
    assert quote["offers"] == [
        {"rail": "x402", "network": "eip155:8453", "amount_usd": bought["price_usd"], "fee_usd": "0.00"},
        {"rail": "mpp", "network": "eip155:4217", "amount_usd": bought["price_usd"], "fee_usd": "0.025"},
    ]
    assert (upload["width"], upload["height"], upload["reused"]) == (640, 360, False)
    assert (bought["rail"], bought["duplicate"], bought["upload_usd"]) == ("x402", False, "0.00")
    assert (one["status"], one["progress"], one["purchase_id"]) == ("complete", 100, bought["purchase_id"])
    assert every["jobs"] == []


async def test_the_budget_of_an_answer_counts_what_was_just_paid(client: Agent) -> None:
    def wallet_today(budget: dict[str, Any]) -> dict[str, str]:
        (line,) = (line for line in budget["windows"] if (line["scope"], line["window"]) == ("wallet", "day"))
        return dict(line)

    before = await client.ok("estimate_cost", model="seedance-fast", duration=10, resolution="480p")
    upload = await client.ok("upload_image", path="lake.png")
    bought = await client.ok(
        "generate_video",
        prompt="budget",
        image=upload["image_url"],
        model="seedance-fast",
        duration=10,
        resolution="480p",
    )
    after = await client.ok("estimate_cost", model="seedance-fast", duration=10, resolution="480p")
    charged = parse_usd(upload["charged_usd"]) + parse_usd(bought["charged_usd"])
    had, has = (parse_usd(wallet_today(answer["budget"])["left_usd"]) for answer in (before, after))
    assert had - has == charged > 0
    assert wallet_today(after["budget"])["cap_usd"] == "10.00"
