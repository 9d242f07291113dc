"""The recipes of ``examples/``: each is run as it stands, with the sandbox of a test."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from seedance_mcp import Studio
from seedance_mcp.viewing.findings import Findings
from tests.e2e.home import Home
from tests.e2e.shop import Shop

EXAMPLES = Path(__file__).parents[2] / "examples"
UPLOAD, DRAFT, CLIP = 10_000, 40_000, 412_500


@pytest.fixture(autouse=True)
def at_the_shop(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--sandbox`` is the seller of this test, and images are read from the home's folder."""
    monkeypatch.setattr(Studio, "sandbox", lambda *, image_roots: studio)


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"examples_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def run(name: str, *arguments: object) -> int:
    code: int = await example(name).main([*map(str, arguments), "--sandbox"])
    return code


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def clips(lines: list[str]) -> list[Path]:
    """The clips whose paths the last lines tell."""
    return [Path(line) for line in lines if line.endswith(".mp4")]


async def test_the_library_example_buys_a_clip(home: Home, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run("library", home.picture()) == 0
    lines = told(capsys)
    assert lines[0] == "$0.04, allowed; $5.00 may be spent"
    assert clips(lines)[0].exists()
    assert shop.taken == UPLOAD + DRAFT


@pytest.mark.parametrize(
    ("caps", "above", "words"),
    [
        ({"per_payment": "0.03"}, "10.00", "The policy says no (per_payment): "),
        ({}, "0.02", "The operator is asked first: "),
    ],
)
async def test_the_library_example_tells_what_happened_instead(
    home: Home, shop: Shop, capsys: pytest.CaptureFixture[str], caps: dict[str, str], above: str, words: str
) -> None:
    home.write_policy(caps, above=above)
    assert await run("library", home.picture()) == 1
    assert told(capsys)[1].startswith(words)
    assert shop.credentials == []


async def test_the_library_example_tells_of_a_clip_that_was_not_made(
    home: Home, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.sandbox.faults.job = "failed"
    assert await run("library", home.picture()) == 1
    assert told(capsys)[1].startswith("Paid, and there is no clip: ")
    assert shop.taken == UPLOAD + DRAFT


async def test_a_product_photo_whose_draft_has_flaws_is_not_made_in_full(
    home: Home, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    # The shop's clip is another picture than what was ordered, which is what the remarks are for.
    assert await run("product_photo", home.picture()) == 1
    lines = told(capsys)
    assert lines[0].startswith("draft: ")
    assert clips(lines)[0].exists()
    assert shop.taken == UPLOAD + DRAFT


async def test_a_product_photo_is_made_in_full_after_a_good_draft(
    home: Home, shop: Shop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seedance_mcp.viewing.examine.examine", lambda *_, **__: Findings())
    assert await run("product_photo", home.picture()) == 0
    assert clips(told(capsys))[0].exists()
    assert shop.taken == UPLOAD + DRAFT + CLIP
    assert [shot.seconds for shot in shop.shots] == [4, 5]


async def test_a_vertical_clip_is_asked_for_as_one(home: Home, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run("vertical_clip", home.picture(size=(720, 1280)), "Steam rises") == 0
    assert clips(told(capsys))[0].exists()
    (shot,) = shop.shots
    assert shot.width < shot.height


async def test_a_storyboard_is_four_clips_in_order(home: Home, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    stills = [home.picture(f"{number}.png", (640 + number, 360)) for number in range(4)]
    assert await run("storyboard", *stills) == 0
    assert len({clip.read_bytes() and clip for clip in clips(told(capsys))}) == 4
    assert shop.taken == 4 * (UPLOAD + DRAFT)


async def test_a_storyboard_that_does_not_fit_buys_nothing(
    home: Home, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    home.write_policy({"per_hour": "0.19"})
    assert await run("storyboard", *[home.picture(f"{number}.png", (640 + number, 360)) for number in range(4)]) == 1
    assert told(capsys) == ["4 clips need 200000 micro-USD, and 190000 are left"]
    assert shop.credentials == []


async def test_a_transition_has_two_keyframes(home: Home, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run("transition", home.picture("day.png"), home.picture("night.png", (641, 360))) == 0
    assert clips(told(capsys))[0].exists()
    assert shop.taken == 2 * UPLOAD + CLIP
    (shot,) = shop.shots
    assert [frame is not None for frame in shot.frames] == [True, True]


async def test_an_unattended_run_stops_at_the_cap_and_the_next_one_goes_on(
    home: Home, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        home.picture(f"{number}.jpg", (640 + number, 360))
    home.write_policy({"per_day": "0.12"})
    assert await run("unattended", home.images) == 0
    lines = told(capsys)
    assert len(clips(lines)) == 2
    assert lines[2].startswith("2.jpg: the policy refuses this purchase")
    assert sorted(path.name for path in (home.images / "done").iterdir()) == ["0.jpg", "1.jpg"]
    assert await run("unattended", home.images) == 0
    assert shop.taken == 2 * (UPLOAD + DRAFT)
    home.write_policy({"per_day": "1.00"})
    assert await run("unattended", home.images) == 0
    assert shop.taken == 3 * (UPLOAD + DRAFT)


async def test_an_unattended_run_goes_on_after_a_picture_that_is_none(
    home: Home, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    (home.images / "0.jpg").write_text("no picture")
    home.picture("1.jpg")
    assert await run("unattended", home.images) == 1
    assert len(clips(told(capsys))) == 1
    assert shop.taken == UPLOAD + DRAFT
