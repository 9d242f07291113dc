"""The same tools over both generations of the seller's API."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tests.e2e.home import Agent, Home
from tests.e2e.shop import Shop, open_shop

PATH = "/api/generate/seedance/i2v"
PRICES = {1: 412_500, 2: 1_200_000}
"""Of 5 seconds at 720p, in micro-USD."""


@dataclass
class Scene:
    """A seller of one generation with a server that buys there; each test has it from where it stands."""

    generation: int
    shop: Shop
    home: Home
    agent: Agent
    _signed: int = 0
    _taken: int = 0

    def begin(self) -> None:
        self._signed, self._taken = len(self.shop.credentials), self.shop.taken
        self.shop.shots.clear()

    @property
    def price(self) -> int:
        return PRICES[self.generation]

    @property
    def nonces(self) -> list[str]:
        """Of the credentials that were sent in this test."""
        return [authorization["nonce"] for authorization in self.shop.authorizations[self._signed :]]

    @property
    def taken(self) -> int:
        """Micro-USD, in this test."""
        return self.shop.taken - self._taken

    def body(self) -> dict[str, object]:
        """Of the clip that was bought last."""
        return self.shop.asked(PATH)[-1]


@pytest.fixture(scope="module", params=[1, 2])
async def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with open_shop(request.param) as shop:
        home = shop.home(tmp_path_factory.mktemp("generation") / "home")
        home.write_policy()
        async with home.server() as agent:
            yield Scene(request.param, shop, home, agent)


@pytest.fixture
def scene(place: Scene) -> Scene:
    place.begin()
    return place


async def test_a_path_is_uploaded_once_and_the_clip_takes_the_shape_of_the_image(scene: Scene) -> None:
    scene.home.picture("tall.png", (400, 700))
    bought = await scene.agent.ok("generate_video", prompt="rain", image="tall.png")
    clip = await scene.agent.clip(bought["job_id"])
    again = await scene.agent.ok("upload_image", path="tall.png")

    (shot,) = scene.shop.shots
    assert (shot.width, shot.height, shot.seconds) == (720, 1280, 5)
    assert scene.body()["aspect_ratio" if scene.generation == 1 else "aspectRatio"] == "9:16"
    assert clip.parent == scene.home.clips
    assert bought["upload_usd"] == "0.01"
    assert (again["reused"], again["charged_usd"]) == (True, "0.00")
    assert scene.taken == 10_000 + scene.price


async def test_the_last_frame_is_sent_with_the_first(scene: Scene) -> None:
    first, last = scene.shop.picture("first.png"), scene.shop.picture("last.png", (800, 450))
    await scene.agent.ok("generate_video", prompt="dusk", image=first, last_image=last)
    (shot,) = scene.shop.shots
    body = scene.body()
    assert len(shot.frames) == 2
    assert (body["urls"] if scene.generation == 2 else [body["image"], body["last_image"]]) == [first, last]


async def test_a_repeated_call_is_free_and_another_take_is_not(scene: Scene) -> None:
    request = {"prompt": "waves twice", "image": scene.shop.picture()}
    first = await scene.agent.ok("generate_video", **request)
    again = await scene.agent.ok("generate_video", **request, duration=5, aspect_ratio="auto")
    assert (again["duplicate"], again["charged_usd"]) == (True, "0.00")
    assert again["purchase_id"] == first["purchase_id"]
    assert scene.taken == scene.price

    take = await scene.agent.ok("generate_video", **request, take=2)
    assert (take["duplicate"], take["charged_usd"]) == (False, first["price_usd"])
    assert take["job_id"] != first["job_id"]
    assert scene.taken == 2 * scene.price
    assert len(set(scene.nonces)) == 2


async def test_a_quote_buys_what_it_was_given_for_and_nothing_else(scene: Scene) -> None:
    image = scene.shop.picture()
    quote = await scene.agent.ok("estimate_cost", model="seedance", duration=5, resolution="720p", image=image)
    request = {"prompt": "waves at a price", "image": image, "quote_id": quote["quote_id"]}
    for other, told in (
        ({"duration": 6}, "duration 5, not 6"),
        ({"resolution": "480p"}, "resolution 720p, not 480p"),
        ({"model": "seedance-fast"}, "model seedance, not seedance-fast"),
    ):
        problem = await scene.agent.fails("generate_video", **(request | other))
        assert problem.text.startswith(f"quote_id is for {told}. Nothing was charged.")
    assert scene.nonces == []

    bought = await scene.agent.ok("generate_video", **request)
    assert bought["charged_usd"] == quote["price_usd"]
    assert scene.taken == scene.price


async def test_what_a_generation_lacks_is_refused_by_name(scene: Scene) -> None:
    """The second generation always has sound and never a fixed camera."""
    image = scene.shop.picture()
    wanted = {"generate_audio": False, "camera_fixed": True, "seed": 7}
    if scene.generation == 1:
        await scene.agent.ok("generate_video", prompt="silent waves", image=image, **wanted)
        assert {name: scene.body()[name] for name in wanted} == wanted
        return
    for name, value in wanted.items():
        problem = await scene.agent.fails("generate_video", prompt="silent waves", image=image, **{name: value})
        assert problem.code == "invalid_argument"
        assert problem.text.lower().startswith(f"{name} {value} cannot be asked for".lower())
    assert scene.nonces == []
    await scene.agent.ok("generate_video", prompt="silent waves", image=image, generate_audio=True, camera_fixed=False)


@pytest.mark.parametrize("place", [1], indirect=True)
async def test_the_longest_clip_of_the_first_generation_is_bought(scene: Scene) -> None:
    """It costs just what the route advertises as its maximum, and is no trap for all that."""
    bought = await scene.agent.ok("generate_video", prompt="a long shot", image=scene.shop.picture(), duration=12)
    await scene.agent.clip(bought["job_id"])
    assert bought["charged_usd"] == "0.99"
    assert scene.taken == 990_000
    assert scene.shop.shots[0].seconds == 12
