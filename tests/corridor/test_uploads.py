"""An image on its way to the seller, and what the errors on that way say of the money."""

from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from seedance_mcp.errors import LedgerBusy, Money, SeedanceError
from seedance_mcp.fetching import Fetcher
from seedance_mcp.ledger.states import State
from seedance_mcp.studio.prices import UPLOAD
from seedance_mcp.uploads import Picture, Uploads
from tests.corridor.seller import said
from tests.corridor.world import Process, World

LINK = "https://blobs.example/a.png"


@pytest.fixture
def uploads(world: World, process: Process, monkeypatch: pytest.MonkeyPatch) -> Uploads:
    """Of an agent whose images are stored at once."""

    async def stored(*_: Any) -> str:
        return LINK

    world.seller.cost = UPLOAD
    monkeypatch.setattr(process.corridor.studio, "put_blob", stored)
    monkeypatch.setattr(process.corridor.studio, "confirm", stored)
    return Uploads(process.corridor, Fetcher(world.http), (), "trailer")


@pytest.fixture
async def picture(uploads: Uploads) -> Picture:
    file = BytesIO()
    Image.new("RGB", (400, 400)).save(file, "PNG")
    return await uploads.read(file.getvalue())


async def test_a_ledger_that_is_busy_once_the_image_is_stored_denies_no_charge(
    world: World, uploads: Uploads, picture: Picture
) -> None:
    world.ledger.busy["finish_upload"] = 1
    with pytest.raises(LedgerBusy) as caught:
        await uploads.host(picture)
    assert (caught.value.charged, caught.value.money) == (UPLOAD, Money.CHARGED)
    hosted = await uploads.host(picture)
    assert (hosted.url, hosted.charged, len(world.till.signed)) == (LINK, 0, 1)


async def test_an_upload_that_turns_out_to_be_paid_is_bought_again_by_the_same_call(
    world: World, uploads: Uploads, picture: Picture
) -> None:
    """Its answer was lost, and the chain shows it by the next call, which pays once more and says both."""
    world.seller.answers = [said(500), said(500)]
    with pytest.raises(SeedanceError) as caught:
        await uploads.host(picture)
    assert caught.value.money is Money.UNKNOWN
    world.till.moves = {State.UNKNOWN, State.SETTLED}
    hosted = await uploads.host(picture)
    assert (hosted.url, hosted.charged, hosted.reused, len(world.till.signed)) == (LINK, 2 * UPLOAD, False, 2)


async def test_what_turned_out_to_be_paid_is_told_though_the_call_fails_afterwards(
    world: World, uploads: Uploads, picture: Picture
) -> None:
    world.seller.answers = [said(500), said(500)]
    with pytest.raises(SeedanceError):
        await uploads.host(picture)
    world.till.moves = {State.UNKNOWN, State.SETTLED}
    world.seller.price = said(503)
    with pytest.raises(SeedanceError) as caught:
        await uploads.host(picture)
    assert (caught.value.charged, caught.value.money) == (UPLOAD, Money.CHARGED)


async def test_another_authorization_waits_until_the_first_is_worthless_or_proven_taken(
    world: World, uploads: Uploads, picture: Picture
) -> None:
    """The seller says that it was paid, and delivers nothing: its word is no reason to sign again."""
    world.seller.answers = [said(500, x_paid="0xclaimed")]
    for code in ("upload_lost", "undelivered"):
        with pytest.raises(SeedanceError) as caught:
            await uploads.host(picture)
        assert caught.value.code == code
    assert len(world.till.signed) == 1
    world.till.moves = {State.CLAIMED, State.SETTLED}
    await uploads.host(picture)
    assert len(world.till.signed) == 2
