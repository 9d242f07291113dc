"""What cannot be bought is told in one clear sentence, and nothing is signed for it."""

from base64 import b64encode
from collections.abc import AsyncIterator

import pytest

from seedance_mcp.payment.wallet import Wallet
from tests.e2e.home import KEY, NOBODY, Agent, Home
from tests.e2e.shop import Shop, open_shop

LARGEST = 30_000_000


@pytest.fixture(scope="module")
async def market() -> AsyncIterator[Shop]:
    async with open_shop() as shop:
        shop.picture()
        yield shop


@pytest.fixture(scope="module")
def visitor(market: Shop, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Somebody with images that cannot be used, some of them outside the allowed folder."""
    home = market.home(tmp_path_factory.mktemp("visitor") / "home")
    lake = home.picture()
    home.picture("tiny.png", (299, 299))
    home.picture("wide.png", (6001, 3000))
    home.picture("strip.png", (3000, 600))
    (home.images / "notes.png").write_text("not a picture")
    (home.images / "folder.png").mkdir()
    with (home.images / "large.png").open("wb") as large:
        large.truncate(LARGEST + 1)
    (home.folder / "private.png").write_bytes(lake.read_bytes())
    (home.images / "link.png").symlink_to(home.folder / "private.png")
    return home


@pytest.fixture(scope="module")
async def guest(visitor: Home) -> AsyncIterator[Agent]:
    async with visitor.server() as agent:
        yield agent


async def is_told(shop: Shop, agent: Agent, code: str, sentence: str, tool: str, **arguments: object) -> None:
    """The call fails with ``code`` and begins with ``sentence``; no payment leaves."""
    problem = await agent.fails(tool, **arguments)
    assert problem.text.lower().startswith(f"{sentence} nothing was charged.")
    assert (problem.code, problem.charged_usd, problem.purchase_id) == (code, "0.00", None)
    assert problem.next
    assert problem.text.endswith(f"Nothing was charged. {problem.next}".strip())
    assert "Traceback" not in problem.text
    assert shop.credentials == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"model": "sora"}, "model is 'sora': input should be 'seedance' or 'seedance-fast'."),
        ({"duration": 13}, "duration 13 is not on offer for seedance: it takes 4, 5, 6, 7, 8, 9, 10, 11, 12."),
        ({"resolution": "4k"}, "resolution 4k is not on offer for seedance: it takes 480p, 720p, 1080p."),
        (
            {"aspect_ratio": "2:1"},
            "aspect_ratio 2:1 is not on offer for seedance: it takes 16:9, 9:16, 4:3, 3:4, 1:1, 21:9.",
        ),
        ({"prompt": " \n"}, "prompt is empty: say what should move, and how."),
        ({"prompt": "x" * 5001}, "prompt has 5001 characters, and 5000 is the most."),
        ({"image": ""}, "image is empty: give an https url or a path to an image."),
        ({"take": 0}, "take is 0: input should be greater than or equal to 1."),
        ({"seed": "lucky"}, "seed is 'lucky': input should be a valid integer, unable to parse string as an integer."),
        ({"max_price_usd": "cheap"}, "max_price_usd is 'cheap': input should be a valid decimal."),
        ({"quote_id": "q_of_nobody"}, "quote_id 'q_of_nobody' is not known."),
    ],
)
async def test_an_argument_that_is_not_sold(
    market: Shop, guest: Agent, arguments: dict[str, object], sentence: str
) -> None:
    clip = {"prompt": "waves", "image": f"{market.origin}/blob/lake.png"}
    await is_told(market, guest, "invalid_argument", sentence, "generate_video", **(clip | arguments))


@pytest.mark.parametrize("price", ["-1", "0.1234567", "NaN"])
async def test_a_price_that_is_no_plain_amount(market: Shop, guest: Agent, price: str) -> None:
    clip = {"prompt": "waves", "image": f"{market.origin}/blob/lake.png", "max_price_usd": price}
    problem = await guest.fails("generate_video", **clip)
    assert problem.code == "invalid_argument"
    assert problem.text.lower().startswith("max_price_usd")
    assert market.credentials == []


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("notes.png", "the data is no jpeg, png, webp or gif image, or it is damaged."),
        ("folder.png", "the path 'folder.png' is not a regular file."),
        ("large.png", "the path 'large.png' is larger than 30 mb."),
        ("wide.png", "the image is 6001 x 3000 pixels: each side must have 300 to 6000."),
        ("tiny.png", "the image is 299 x 299 pixels: each side must have 300 to 6000."),
        ("strip.png", "the image is 3000 x 600 pixels: width by height must lie between 0.4 and 2.5."),
        ("none.png", "the path 'none.png' does not exist in the folders that the operator allows."),
        ("link.png", "the path 'link.png' leads through a symbolic link or through a file."),
        ("../private.png", "the path '../private.png' {outside}"),
        ("/etc/passwd", "the path '/etc/passwd' {outside}"),
        ("/proc/self/environ", "the path '/proc/self/environ' {outside}"),
    ],
)
async def test_a_path_that_cannot_be_read(market: Shop, guest: Agent, path: str, sentence: str) -> None:
    sentence = sentence.format(outside="is outside the folders that the operator allows (seedance_image_roots).")
    await is_told(market, guest, "invalid_image", sentence, "upload_image", path=path)
    await is_told(market, guest, "invalid_image", sentence, "generate_video", prompt="waves", image=path)


@pytest.mark.parametrize(
    ("url", "code", "sentence"),
    [
        ("http://example.com/a.png", "invalid_argument", "image must be an https url or a path {allowed}"),
        ("file:///etc/passwd", "invalid_argument", "image must be an https url or a path {allowed}"),
        ("https://127.0.0.1/a.png", "forbidden_address", "127.0.0.1 leads to an address that {private}"),
        ("https://10.0.0.1/a.png", "forbidden_address", "10.0.0.1 leads to an address that {private}"),
        ("https://me:word@example.com/a.png", "forbidden_address", "the link is not a plain https url."),
        ("{origin}/blob/none.png", "link_dead", "the link is dead: it was answered with 404."),
        ("{origin}/llms.txt", "not_an_image", "the link leads to 'text/plain', not to an image."),
    ],
)
async def test_an_address_that_leads_to_no_public_image(
    market: Shop, guest: Agent, url: str, code: str, sentence: str
) -> None:
    url = url.format(origin=market.origin)
    sentence = sentence.format(allowed="inside an allowed folder.", private="is not on the open internet.")
    await is_told(market, guest, code, sentence, "generate_video", prompt="waves", image=url)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "{one} none was given."),
        ({"path": "lake.png", "data": "AAAA"}, "{one} path, data were given."),
        ({"data": "%"}, "data is not base64."),
    ],
)
async def test_an_upload_of_nothing_or_of_too_much(
    market: Shop, guest: Agent, arguments: dict[str, object], sentence: str
) -> None:
    sentence = sentence.format(one="give upload_image just one of path, url and data:")
    await is_told(market, guest, "invalid_argument", sentence, "upload_image", **arguments)


async def test_bytes_that_are_no_image(market: Shop, guest: Agent) -> None:
    sentence = "the data is no jpeg, png, webp or gif image, or it is damaged."
    data = b64encode(b"GIF89a and then nothing").decode()
    await is_told(market, guest, "invalid_image", sentence, "upload_image", data=data)


async def test_what_is_null_is_left_out(guest: Agent) -> None:
    """As clients with strict schemas send it."""
    left_out = dict.fromkeys(("prompt", "image", "aspect_ratio", "generate_audio", "seed", "quote_id", "take"))
    quote = await guest.ok("estimate_cost", model="seedance", duration=5, resolution="720p", **left_out)
    assert quote["price_usd"] == "0.4125"
    assert (await guest.ok("check_job", job_id=None, purchase_id=None, wait_seconds=None))["jobs"] == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"prompt": " "}, "prompt is empty: say what should move, and how."),
        ({"quote_id": "q_0"}, "quote_id 'q_0' is not known."),
    ],
)
async def test_an_estimate_refuses_what_the_purchase_would(
    market: Shop, guest: Agent, arguments: dict[str, object], sentence: str
) -> None:
    clip = {"model": "seedance", "duration": 5, "resolution": "720p", **arguments}
    await is_told(market, guest, "invalid_argument", sentence, "estimate_cost", **clip)


async def test_an_estimate_counts_the_upload_that_the_purchase_needs(guest: Agent) -> None:
    clip = {"model": "seedance", "duration": 5, "resolution": "720p", "image": "lake.png"}
    just_enough = await guest.ok("estimate_cost", **clip, max_price_usd="0.4225")
    too_little = await guest.ok("estimate_cost", **clip, max_price_usd="0.4224")
    assert (just_enough["verdict"], too_little["verdict"]) == ("allowed", "refused")
    assert "with $0.01 for uploads" in too_little["reason"]


@pytest.mark.parametrize(
    ("tool", "argument", "nearest"),
    [
        ("estimate_cost", "durations", "duration"),
        ("generate_video", "max_price", "max_price_usd"),
        ("upload_image", "file", "filename"),
        ("check_job", "jobId", "job_id"),
    ],
)
async def test_an_unknown_argument_is_refused_with_the_nearest_name(
    market: Shop, guest: Agent, tool: str, argument: str, nearest: str
) -> None:
    await is_told(
        market, guest, "invalid_argument", f"{tool} has no argument {argument.lower()!r}.", tool, **{argument: "x"}
    )
    assert (await guest.fails(tool, **{argument: "x"})).next == f"Did you mean {nearest}?"


@pytest.mark.parametrize(
    ("ids", "what"),
    [
        ({"job_id": "c0"}, "job 'c0'"),
        ({"purchase_id": "pur_0"}, "purchase 'pur_0'"),
        ({"job_id": "c0", "purchase_id": "pur_0"}, "job 'c0'"),
    ],
)
async def test_a_job_of_nobody(market: Shop, guest: Agent, ids: dict[str, object], what: str) -> None:
    await is_told(market, guest, "not_found", f"there is no {what}.", "check_job", **ids)


async def test_without_a_wallet_it_estimates_and_says_how_to_get_one(market: Shop, visitor: Home) -> None:
    url, sentence = f"{market.origin}/blob/lake.png", "this server has no wallet, so it can estimate but not buy."
    async with visitor.lacking("PRIVATE_KEY").server() as poor:
        quote = await poor.ok("estimate_cost", model="seedance", duration=5, resolution="720p")
        await is_told(market, poor, "no_wallet", sentence, "generate_video", prompt="waves", image=url)
        await is_told(market, poor, "no_wallet", sentence, "upload_image", path="lake.png")
        problem = await poor.fails("upload_image", path="lake.png")
    assert quote["price_usd"] == "0.4125"
    assert "seedance-mcp wallet new" in problem.next


async def test_a_wallet_whose_password_is_nowhere_is_told_from_none(market: Shop, visitor: Home) -> None:
    keystore = visitor.folder / "keystore.json"
    Wallet.from_hex(KEY).to_keystore("a password", keystore)
    closed = visitor.lacking("PRIVATE_KEY").having(KEYSTORE=str(keystore))
    sentence = f"the password of the wallet in {keystore} is nowhere, so this server can estimate but not buy.".lower()
    async with closed.server() as poor:
        await is_told(market, poor, "no_wallet", sentence, "upload_image", path="lake.png")
        assert "seedance-mcp doctor" in (await poor.fails("upload_image", path="lake.png")).next


async def test_nothing_is_bought_that_could_not_be_saved(market: Shop, visitor: Home) -> None:
    taken = visitor.folder / "a file"
    taken.write_text("")
    url = f"{market.origin}/blob/lake.png"
    async with visitor.having(OUTPUT_DIR=str(taken / "clips")).server() as agent:
        sentence = f"the folder for clips {taken}/clips cannot be written (not a directory).".lower()
        await is_told(market, agent, "invalid_settings", sentence, "generate_video", prompt="waves", image=url)
        assert "SEEDANCE_OUTPUT_DIR" in (await agent.fails("generate_video", prompt="waves", image=url)).next


async def test_a_broken_policy_is_told_whether_the_seller_answers_or_not(market: Shop, visitor: Home) -> None:
    policy = visitor.folder / "broken.toml"
    policy.write_text('version = 1\n[caps]\nper_payment = "much"\n')
    policy.chmod(0o600)
    broken = visitor.having(POLICY=str(policy), STUDIO_URL=NOBODY)
    async with broken.server() as agent:
        for tool, arguments in (
            ("upload_image", {"path": "lake.png"}),
            ("generate_video", {"prompt": "waves", "image": "lake.png"}),
        ):
            problem = await agent.fails(tool, **arguments)
            assert (problem.code, problem.charged_usd) == ("invalid_policy", "0.00")
            assert "per_payment" in problem.text


async def test_the_home_of_the_user_is_known_in_a_path(market: Shop, visitor: Home, guest: Agent) -> None:
    sentence = "the image is 299 x 299 pixels: each side must have 300 to 6000."
    await is_told(market, guest, "invalid_image", sentence, "upload_image", path="~/images/tiny.png")
    sentence = "is outside the folders that the operator allows (seedance_image_roots)."
    for path in ("~/private.png", "~/.ssh/id_rsa", "~/images/../private.png"):
        shown = f"the path '{visitor.folder / path.removeprefix('~/')}' {sentence}".lower()
        await is_told(market, guest, "invalid_image", shown, "upload_image", path=path)


async def test_without_allowed_folders_a_path_is_refused_with_the_way_to_allow_one(market: Shop, visitor: Home) -> None:
    async with visitor.having(IMAGE_ROOTS="").server() as agent:
        problem = await agent.fails("upload_image", path=str(visitor.images / "lake.png"))
    assert problem.code == "invalid_image"
    assert "SEEDANCE_IMAGE_ROOTS" in problem.next
    assert market.credentials == []
