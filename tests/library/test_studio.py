"""Buying from a Python program: the same purchase, guard and ledger as behind the tools."""

import dataclasses
import os
from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from seedance_mcp import AwaitingApproval, Clip, ClipFailed, Studio
from seedance_mcp.errors import InvalidArgument, InvalidSettings, NotFound, NoWallet, Refused
from tests.e2e.home import Home
from tests.e2e.shop import Shop
from tests.peers.clip import clip

UPLOAD, CLIP = 10_000, 412_500


async def test_a_clip_of_a_local_picture_is_bought_and_saved(studio: Studio, shop: Shop, home: Home) -> None:
    async with studio:
        bought = await studio.generate(prompt="waves", image=home.picture())
    assert bought.path.parent == home.clips
    assert bought.path.read_bytes() == clip()
    assert (bought.status, bought.progress, bought.duplicate, bought.error) == ("complete", 100, False, None)
    assert (bought.price, bought.charged) == (CLIP, UPLOAD + CLIP)
    assert (bought.price.usd, bought.charged.usd) == ("0.4125", "0.4225")
    assert shop.taken == UPLOAD + CLIP


async def test_the_findings_of_a_clip_come_with_it(studio: Studio, shop: Shop) -> None:
    async with studio:
        bought = await studio.generate(prompt="waves", image=shop.picture())
    assert any("320" in remark for remark in bought.remarks), "the stand-in clip is smaller than what was ordered"


async def test_results_are_typed_and_frozen(studio: Studio) -> None:
    async with studio:
        estimate = await studio.estimate(duration=5)
    assert (estimate.price, estimate.price.usd, estimate.verdict, estimate.live) == (CLIP, "0.4125", "allowed", True)
    assert type(estimate.price + 1) is int
    assert estimate.expires_at is not None
    assert estimate.expires_at.tzinfo is not None
    with pytest.raises(dataclasses.FrozenInstanceError):
        estimate.price = 0  # type: ignore[assignment, misc]


async def test_an_estimate_binds_the_price(studio: Studio, shop: Shop) -> None:
    async with studio:
        estimate = await studio.estimate()
        shop.sandbox.faults.quote_extra = 10_000
        assert estimate.quote_id is not None
        with pytest.raises(Refused) as caught:
            await studio.generate(prompt="waves", image=shop.picture(), quote_id=estimate.quote_id)
    assert caught.value.code == "over_quote"
    assert shop.credentials == []


async def test_the_same_request_is_paid_once_and_another_take_again(studio: Studio, shop: Shop) -> None:
    image = shop.picture()
    async with studio:
        first = await studio.generate(prompt="waves", image=image)
        again = await studio.generate(prompt="waves", image=image)
        other = await studio.generate(prompt="waves", image=image, take=2)
    assert (again.path, again.charged, again.duplicate) == (first.path, 0, True)
    assert other.path != first.path
    assert shop.taken == 2 * CLIP


async def test_calls_side_by_side_are_one_purchase(studio: Studio, shop: Shop) -> None:
    image, bought = shop.picture(), list[Clip]()

    async def buy() -> None:
        bought.append(await studio.generate(prompt="waves", image=image))

    async with studio, anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(buy)
    assert len({one.purchase_id for one in bought}) == 1
    assert sorted(one.charged for one in bought) == [0, 0, CLIP]
    assert shop.taken == CLIP


async def test_a_refusal_reaches_the_caller_as_itself_and_nothing_is_signed(
    studio: Studio, shop: Shop, home: Home
) -> None:
    home.write_policy({"per_payment": "0.40"})
    with pytest.raises(Refused) as caught:  # and not as a group, although tasks run inside of the studio
        async with studio:
            await studio.generate(prompt="waves", image=shop.picture())
    assert caught.value.code == "per_payment"
    assert "$0.4125 is above the limit of $0.40" in str(caught.value)
    assert "Nothing was charged." in str(caught.value)
    assert shop.credentials == []


@pytest.mark.parametrize("limit", ["0.42", Decimal("0.42")])
async def test_a_limit_of_the_call_covers_upload_and_clip(
    studio: Studio, shop: Shop, home: Home, limit: str | Decimal
) -> None:
    async with studio:
        with pytest.raises(Refused) as caught:
            await studio.generate(prompt="waves", image=home.picture(), max_price_usd=limit)
    assert caught.value.code == "max_price"
    assert shop.credentials == []


async def test_a_limit_of_the_call_raises_nothing(studio: Studio, shop: Shop, home: Home) -> None:
    home.write_policy({"per_payment": "0.40"})
    async with studio:
        with pytest.raises(Refused):
            await studio.generate(prompt="waves", image=shop.picture(), max_price_usd="100")
    assert shop.credentials == []


async def test_what_a_human_has_to_approve_is_an_error_of_its_own(studio: Studio, shop: Shop, home: Home) -> None:
    home.write_policy(above="0.40")
    image = home.picture()
    async with studio:
        assert (await studio.estimate()).verdict == "needs_approval"
        with pytest.raises(AwaitingApproval) as caught:
            await studio.generate(prompt="waves", image=image)
        waiting = caught.value
        assert waiting.purchase_id is not None
        assert "Nothing was charged." in str(waiting)
        assert f"seedance-mcp approve {waiting.purchase_id}" in str(waiting)
        assert shop.credentials == []
        with pytest.raises(AwaitingApproval):
            await studio.wait(waiting.purchase_id)
        home.run("approve", waiting.purchase_id, answer="y\n")
        bought = await studio.generate(prompt="waves", image=image)
    assert (bought.purchase_id, bought.charged) == (waiting.purchase_id, UPLOAD + CLIP)


async def test_an_upload_that_a_human_has_to_approve_is_the_same_error(studio: Studio, shop: Shop, home: Home) -> None:
    home.write_policy(above="0.005")
    async with studio:
        with pytest.raises(AwaitingApproval) as caught:
            await studio.upload(home.picture())
    assert caught.value.purchase_id is not None
    assert shop.credentials == []


async def test_without_waiting_the_job_is_given_and_can_be_waited_for(studio: Studio, shop: Shop) -> None:
    shop.rendering.clear()
    async with studio:
        job = await studio.generate(wait=False, prompt="waves", image=shop.picture())
        assert not isinstance(job, Clip)
        assert (job.charged, [one.purchase_id for one in await studio.jobs()]) == (CLIP, [job.purchase_id])
        shop.rendering.set()
        saved = await studio.wait(job)
        assert (saved.charged, await studio.jobs()) == (0, [])
        assert isinstance(await studio.job(job.purchase_id), Clip)
    assert saved.path.exists()


async def test_a_job_can_be_watched_to_its_end(studio: Studio, shop: Shop) -> None:
    async with studio:
        bought = await studio.generate(wait=False, prompt="waves", image=shop.picture())
        seen = [job.status async for job in studio.watch(bought)]
    assert seen[-1] == "complete"
    assert seen.count("complete") == 1


async def test_giving_up_on_a_clip_loses_neither_the_money_nor_the_clip(studio: Studio, shop: Shop) -> None:
    shop.rendering.clear()
    image = shop.picture()

    async def give_up() -> None:
        while not shop.shots:  # noqa: ASYNC110 - the renderer runs in a thread and tells nobody
            await anyio.sleep(0.01)
        group.cancel_scope.cancel()

    async with studio:
        async with anyio.create_task_group() as group:
            group.start_soon(give_up)
            await studio.generate(prompt="waves", image=image)
        (job,) = await studio.jobs()
        shop.rendering.set()
        assert (await studio.wait(job)).path.exists()
    assert shop.taken == CLIP


async def test_a_clip_that_the_seller_could_not_make_is_an_error_that_tells_what_was_charged(
    studio: Studio, shop: Shop
) -> None:
    shop.sandbox.faults.job = "failed"
    image = shop.picture()
    async with studio:
        with pytest.raises(ClipFailed) as caught:
            await studio.generate(prompt="waves", image=image)
        shop.sandbox.faults.job = "ok"
        assert (await studio.generate(prompt="waves", image=image, take=2)).path.exists()
    assert caught.value.charged == CLIP
    assert "$0.4125 was charged. Call again with take=2 for another try." in str(caught.value)


async def test_an_answer_that_was_lost_is_found_again_and_paid_once(studio: Studio, shop: Shop) -> None:
    shop.sandbox.faults.answer = "lost"
    async with studio:
        bought = await studio.generate(prompt="waves", image=shop.picture())
    assert bought.path.exists()
    assert shop.taken == CLIP


async def test_the_same_bytes_are_uploaded_once(studio: Studio, shop: Shop, home: Home) -> None:
    picture = home.picture()
    async with studio:
        first = await studio.upload(picture)
        again = await studio.upload(picture.read_bytes())
        copied = await studio.upload(shop.picture())
    assert (first.charged, first.reused, again.charged, again.reused) == (UPLOAD, False, 0, True)
    assert (again.url, copied.url) == (first.url, first.url)
    assert (first.width, first.height, shop.taken) == (640, 360, UPLOAD)


async def test_the_budget_shrinks_by_what_was_spent(studio: Studio, home: Home) -> None:
    async with studio:
        before = await studio.budget("upload")
        await studio.upload(home.picture())
        after = await studio.budget("upload")
    assert before.left - after.left == UPLOAD
    assert [(limit.scope, limit.window) for limit in after.limits] == [("wallet", "hour"), ("wallet", "day")]


async def test_pictures_outside_the_allowed_folders_are_not_read(studio: Studio, tmp_path: Path) -> None:
    async with studio:
        with pytest.raises(Exception, match="outside the folders"):
            await studio.generate(prompt="waves", image=tmp_path / "secret.png")


async def test_wrong_arguments_cost_nothing(studio: Studio, shop: Shop) -> None:
    async with studio:
        with pytest.raises(InvalidArgument, match="max_price_usd"):
            await studio.generate(prompt="waves", image=shop.picture(), max_price_usd="a lot")
        with pytest.raises(TypeError, match="durration"):
            await studio.generate(prompt="waves", image=shop.picture(), durration=5)  # type: ignore[call-overload]
        with pytest.raises(NotFound):
            await studio.wait("pur_0000000000000000")
    assert shop.credentials == []


async def test_a_studio_is_used_inside_of_async_with(studio: Studio) -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await studio.estimate()


async def test_the_environment_names_wallet_policy_and_ledger(
    home: Home, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in home.env.items():
        monkeypatch.setenv(name, value)
    async with Studio.from_env() as studio:
        assert (await studio.upload(home.picture())).charged == UPLOAD
    assert [payment["amount"] for payment in home.payments()] == [UPLOAD]
    assert shop.taken == UPLOAD
    # The key was taken out of the environment when it was read.
    async with Studio.from_env() as studio:
        with pytest.raises(NoWallet):
            await studio.upload(home.picture())


async def test_a_sandbox_leaves_the_operators_settings_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SEEDANCE_PRIVATE_KEY", "not looked at")
    async with Studio.sandbox(generation=2) as studio:
        assert (await studio.estimate(duration=5)).live
    assert os.environ["SEEDANCE_PRIVATE_KEY"] == "not looked at"


def test_a_fault_that_the_sandbox_does_not_have_is_told() -> None:
    with pytest.raises(InvalidSettings, match="'nope' is no fault of the sandbox; there are answer-lost"):
        Studio.sandbox(faults=["nope"])
