"""What an agent sees and reads of a clip without a person: findings, pictures, pieces, progress."""

import base64
import json
from io import BytesIO
from typing import Any

import av
import pytest
from mcp import MCPError
from mcp_types import TextResourceContents
from PIL import Image

from seedance_mcp import eyes
from seedance_mcp.errors import NotFound
from seedance_mcp.eyes import PIECE, WHOLE, _piece, pieces
from tests.e2e.home import Agent, Home
from tests.e2e.shop import Shop


async def read(agent: Agent, uri: str) -> Any:
    """A resource's text as JSON, or its bytes."""
    (content,) = (await agent.client.read_resource(uri)).contents
    if isinstance(content, TextResourceContents):
        return json.loads(content.text)
    return base64.b64decode(content.blob)


async def test_a_finished_clip_tells_what_was_seen_and_links_its_pictures(shop: Shop, agent: Agent) -> None:
    bought = await agent.ok("generate_video", prompt="waves", image=shop.picture())
    answer = await agent.call("check_job", job_id=bought["job_id"], wait_seconds=50)
    job = answer.structured_content
    assert job is not None
    seen, links = job["findings"], [getattr(link, "uri", None) for link in answer.content[1:]]

    assert (seen["width"], seen["height"], seen["codec"]) == (320, 180, "h264")
    # The seller of these tests sends a tiny clip whatever was bought, which is found out.
    assert any("720p" in remark for remark in seen["remarks"])
    assert any("5 s were bought" in remark for remark in seen["remarks"])
    assert links == job["resources"] == [f"seedance://jobs/{bought['job_id']}/{name}" for name in
                                         ("contact-sheet", "thumbnail", "video")]  # fmt: skip
    for uri in links[:2]:
        with Image.open(BytesIO(await read(agent, uri))) as picture:
            assert picture.format == "JPEG"
            assert max(picture.size) <= 1280
    with av.open(BytesIO(await read(agent, links[2]))) as clip:
        assert clip.streams.video


async def test_resources_are_current_at_each_read(shop: Shop, agent: Agent) -> None:
    before = await read(agent, "seedance://budget")
    bought = await agent.ok("generate_video", prompt="waves", image=shop.picture())
    after = await read(agent, "seedance://budget")
    job = await read(agent, f"seedance://jobs/{bought['job_id']}")
    receipt = await read(agent, f"seedance://receipts/{bought['purchase_id']}")
    policy = await read(agent, "seedance://policy")

    assert (before["left_usd"], after["left_usd"]) == ("5.00", "4.5875")
    assert job["purchase_id"] == bought["purchase_id"]
    assert (receipt["amount_usd"], receipt["transaction"]) == ("0.4125", bought["transaction"])
    assert receipt["request"]["prompt"] == "waves"
    assert policy["caps"]["per_payment"] == "2.50"
    assert isinstance(await read(agent, "seedance://jobs"), list)


async def test_another_agents_clip_cannot_be_read(shop: Shop, home: Home) -> None:
    async with home.having(AGENT="ann").server() as ann:
        bought = await ann.ok("generate_video", prompt="waves", image=shop.picture())
        await ann.clip(bought["job_id"])
    async with home.having(AGENT="bob").server() as bob:
        for uri in (f"jobs/{bought['job_id']}", f"jobs/{bought['job_id']}/video", f"receipts/{bought['purchase_id']}"):
            with pytest.raises(MCPError, match="there is no"):
                await read(bob, f"seedance://{uri}")


def test_a_long_clip_comes_in_pieces_that_make_it_whole(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(bytes(range(256)) * 40)
    monkeypatch.setattr(eyes, "PIECE", 4096)
    monkeypatch.setattr(eyes, "WHOLE", 8192)
    assert pieces(clip) == 3
    assert b"".join(_piece(clip, number) for number in (1, 2, 3)) == clip.read_bytes()
    for number in (None, 0, 4):
        with pytest.raises(NotFound):
            _piece(clip, number)
    assert PIECE < WHOLE


async def test_an_upload_says_how_far_it_is(home: Home, agent: Agent) -> None:
    told: list[tuple[float, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        assert total is not None
        told.append((progress, message))

    picture = home.picture()
    await agent.client.call_tool("upload_image", {"path": str(picture)}, progress_callback=note)
    assert [step for step, _ in told] == [1, 2, 3]
    assert all(words for _, words in told)


async def test_a_quote_names_a_draft_that_is_much_cheaper_and_none_for_a_draft(agent: Agent) -> None:
    dear = await agent.ok("estimate_cost", model="seedance", duration=5, resolution="720p")
    cheap = await agent.ok("estimate_cost", model="seedance-fast", duration=5, resolution="480p")
    assert dear["draft"] == (
        'A draft with model="seedance-fast" and resolution="480p" costs about $0.05: judge that first.'
    )
    assert cheap["draft"] is None
