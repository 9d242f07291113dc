"""Clocks that are set, hosts that lie about the chain, and an environment that wants to stand in between."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from seedance_mcp.ledger.check import check_ledger
from tests.attacks.hostile import Conduct, Hostile, open_shop
from tests.attacks.rpc import Rpc, open_rpc
from tests.attacks.target import Clock, Target, open_target, settle_down, wall_clock
from tests.attacks.wire import Reply
from tests.e2e.home import Home
from tests.studio.wire import peer, reply
from tests.test_fetching import certificate

CLIP = 412_500
SECOND, HOUR, DAY = 1_000, 3_600_000, 86_400_000
YEARS = 10 * 365 * DAY
SHIFTS = [HOUR, -HOUR, DAY, -DAY, YEARS, -YEARS]
CAPS = {"per_hour": "0.45", "per_day": "0.45"}
"""Room for one clip."""


@pytest.fixture(autouse=True)
def restored(clock: Clock) -> Iterator[None]:
    """Time goes back to where it was."""
    now = clock.now
    yield
    clock.now = now


@pytest.fixture
def chain(rpc: Rpc) -> Rpc:
    rpc.believe()
    rpc.taken.clear()
    return rpc


# Clocks


@dataclass
class Skewed(Clock):
    """This machine's clock: the world's, and what it is set wrong by."""

    world: Clock
    skew: int = 0

    def __call__(self) -> int:
        return self.world() + self.skew


@asynccontextmanager
async def skewed(seller: Hostile, clock: Clock, folder: Path, *hosts: Rpc) -> AsyncIterator[tuple[Target, Skewed]]:
    mine = Skewed(0, clock)
    async with open_target(settle_down(folder / "home", seller, *hosts), seller, mine) as target:
        yield target, mine


@pytest.mark.parametrize("shift", SHIFTS)
async def test_a_clock_that_is_wrong_signs_nothing(seller: Hostile, clock: Clock, tmp_path: Path, shift: int) -> None:
    async with skewed(seller, clock, tmp_path) as (target, mine):
        mine.skew = shift
        assert (await target.refuses()).code == "clock"
        target.home.picture()
        assert (await target.signs_nothing("upload_image", path="lake.png")).code == "clock"


@pytest.mark.parametrize("shift", SHIFTS)
async def test_a_clock_that_is_set_frees_no_budget(seller: Hostile, clock: Clock, tmp_path: Path, shift: int) -> None:
    async with skewed(seller, clock, tmp_path) as (target, mine):
        target.home.write_policy(CAPS)
        await target.buys()
        mine.skew = shift
        for prompt in ("more waves", "even more waves"):
            assert (await target.refuses(prompt=prompt)).code in {"clock", "per_hour"}
        mine.skew = 0
        assert (await target.refuses(prompt="more waves")).code == "per_hour"
        assert target.counted == CLIP


@pytest.mark.parametrize("shift", SHIFTS)
async def test_a_seller_who_lies_about_the_time_gets_nothing(customer: Target, shift: int) -> None:
    customer.seller.behave(Conduct(late=shift // SECOND))
    assert (await customer.refuses()).code == "clock"


@pytest.mark.parametrize("late", [61, -61, None])
async def test_a_seller_a_minute_off_or_without_a_time_gets_nothing(customer: Target, late: int | None) -> None:
    customer.seller.behave(Conduct(late=late))
    assert (await customer.refuses()).code in {"clock", "studio_unavailable"}


@pytest.mark.parametrize("shift", SHIFTS)
async def test_a_clock_and_a_seller_wrong_alike_are_caught_by_the_chain(
    seller: Hostile, clock: Clock, chain: Rpc, tmp_path: Path, shift: int
) -> None:
    """The seller dates its answers as the wrong clock does; the newest block does not."""
    async with skewed(seller, clock, tmp_path, chain) as (target, mine):
        mine.skew = shift
        seller.behave(Conduct(late=-shift // SECOND))
        assert (await target.refuses()).code == "clock"


async def test_time_that_went_on_and_came_back_is_refused_although_the_seller_agrees(
    newcomer: Target, clock: Clock
) -> None:
    """The ledger has seen a later time, so that windows measured now would be too short."""
    newcomer.home.write_policy(CAPS)
    await newcomer.buys()
    clock.now -= HOUR
    assert (await newcomer.refuses(prompt="more waves")).code == "clock"
    clock.now -= YEARS
    assert (await newcomer.refuses(prompt="more waves")).code == "clock"


async def test_a_payment_on_its_way_is_not_sent_again_after_its_deadline(newcomer: Target, clock: Clock) -> None:
    newcomer.seller.behave(Conduct(paid=Reply(500)))
    await newcomer.agent.call("generate_video", **newcomer.request())
    sent, (payment,) = newcomer.signed.sent, newcomer.payments
    clock.now = (payment["deadline"] - 10) * SECOND
    newcomer.seller.behave()
    await newcomer.agent.call("generate_video", **newcomer.request())
    assert newcomer.signed.sent == sent
    clock.now -= 1
    await newcomer.agent.call("generate_video", **newcomer.request())
    assert (newcomer.signed.sent, newcomer.signed.distinct) == (sent + 1, 1)


@pytest.mark.parametrize(("window", "length"), [("hour", HOUR), ("day", DAY)])
async def test_a_window_ends_to_the_millisecond(newcomer: Target, clock: Clock, window: str, length: int) -> None:
    """A claim counts at its deadline; it leaves the window when it is exactly as old as the window is long."""
    newcomer.home.write_policy({f"per_{window}": "0.45"})
    await newcomer.buys()
    (payment,) = newcomer.payments
    clock.now = payment["deadline"] * SECOND + length - 1
    assert (await newcomer.refuses(prompt="more waves")).code == f"per_{window}"
    clock.now += 1
    await newcomer.buys(prompt="more waves")
    assert newcomer.signed.distinct == 2


@pytest.mark.parametrize(("window", "length"), [("hour", HOUR), ("day", DAY)])
async def test_a_number_of_payments_ends_to_the_millisecond(
    newcomer: Target, clock: Clock, window: str, length: int
) -> None:
    newcomer.home.write_policy({f"payments_per_{window}": 1})
    await newcomer.buys()
    (payment,) = newcomer.payments
    clock.now = payment["deadline"] * SECOND + length - 1
    assert (await newcomer.refuses(prompt="more waves")).code == f"payments_per_{window}"
    clock.now += 1
    await newcomer.buys(prompt="more waves")


@pytest.mark.parametrize("later", [HOUR, DAY, YEARS])
async def test_an_open_payment_is_in_every_window_whatever_its_age(newcomer: Target, clock: Clock, later: int) -> None:
    newcomer.home.write_policy(CAPS | {"unresolved": 9})
    with newcomer.home.policy.open("a") as file:
        file.write("\n[agents.default]\nunresolved = 9\n")
    newcomer.seller.behave(Conduct(paid=Reply(500)))
    await newcomer.agent.call("generate_video", **newcomer.request())
    newcomer.seller.behave()
    clock.now += later
    assert (await newcomer.refuses(prompt="more waves")).code == "per_hour"
    await newcomer.app.recovery.sweep()
    assert newcomer.counted == CLIP


# Hosts that tell of the chain


@asynccontextmanager
async def two_hosts(seller: Hostile, clock: Clock, folder: Path) -> AsyncIterator[tuple[Target, Rpc, Rpc]]:
    """Somebody with an open payment who reads the chain from two hosts, of which two must agree."""
    async with AsyncExitStack() as stack:
        one, other = [await stack.enter_async_context(open_rpc(clock)) for _ in range(2)]
        target = await stack.enter_async_context(
            open_target(settle_down(folder / "home", seller, one, other), seller, clock)
        )
        seller.behave(Conduct(paid=Reply(500)))
        await target.agent.call("generate_video", **target.request())
        assert target.states == ["unknown"]
        yield target, one, other


async def test_two_hosts_that_agree_let_an_unused_payment_expire(seller: Hostile, clock: Clock, tmp_path: Path) -> None:
    async with two_hosts(seller, clock, tmp_path) as (target, _, _other):
        clock.now += HOUR
        await target.app.recovery.sweep()
        assert (target.states, target.counted) == (["expired"], 0)
        assert await check_ledger(target.app.database) == []


LIES = {
    "a future": {"ahead": 86_400},
    "a branch of its own": {"branch": "mine", "ahead": 86_400},
    "another chain": {"chain_id": 1, "ahead": 86_400},
    "a test chain": {"chain_id": 84532, "ahead": 86_400},
    "no code": {"code": "0x", "ahead": 86_400},
    "nothing": {"up": False},
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
@pytest.mark.parametrize("liar", [0, 1])
async def test_one_lying_host_never_releases_a_payment(
    seller: Hostile, clock: Clock, tmp_path: Path, lie: dict[str, object], liar: int
) -> None:
    async with two_hosts(seller, clock, tmp_path) as (target, *hosts):
        hosts[liar].believe(**lie)
        for _ in range(2):
            await target.app.recovery.sweep()
        assert (target.states, target.counted) == (["unknown"], CLIP)


@pytest.mark.parametrize("lie", [lie for name, lie in LIES.items() if name != "a future"])
async def test_one_lying_host_delays_the_end_of_a_payment_at_most(
    seller: Hostile, clock: Clock, tmp_path: Path, lie: dict[str, object]
) -> None:
    async with two_hosts(seller, clock, tmp_path) as (target, _, liar):
        clock.now += HOUR
        liar.believe(**lie)
        await target.app.recovery.sweep()
        assert (target.states, target.counted) == (["unknown"], CLIP)
        liar.believe()
        await target.app.recovery.sweep()
        assert target.counted == 0


@pytest.mark.parametrize("lie", [LIES["another chain"], LIES["no code"], LIES["nothing"]])
async def test_hosts_that_are_all_of_the_wrong_chain_release_nothing(
    seller: Hostile, clock: Clock, tmp_path: Path, lie: dict[str, object]
) -> None:
    async with two_hosts(seller, clock, tmp_path) as (target, *hosts):
        clock.now += YEARS
        for host in hosts:
            host.believe(**lie)
        await target.app.recovery.sweep()
        assert (target.states, target.counted) == (["unknown"], CLIP)


async def test_one_host_named_twice_is_one_opinion(seller: Hostile, clock: Clock, chain: Rpc, tmp_path: Path) -> None:
    home = settle_down(tmp_path / "home", seller, chain).having(BASE_RPC_URL=f"{chain.origin},{chain.origin}/")
    async with open_target(home, seller, clock) as target:
        seller.behave(Conduct(paid=Reply(500)))
        await target.agent.call("generate_video", **target.request())
        clock.now += HOUR
        await target.app.recovery.sweep()
        assert target.states == ["unknown"]


async def test_a_host_that_knows_a_transfer_outweighs_one_that_does_not(
    seller: Hostile, clock: Clock, tmp_path: Path
) -> None:
    """Whichever is asked first: what was used is never taken for expired."""
    async with two_hosts(seller, clock, tmp_path) as (target, one, other):
        (signed,) = seller.authorizations
        other.take(signed)
        clock.now += HOUR
        await target.app.recovery.sweep()
        assert (target.states, target.counted) == (["unknown"], CLIP)
        one.take(signed)
        other.taken.clear()
        await target.app.recovery.sweep()
        assert target.counted == CLIP


@pytest.mark.parametrize("forged", [{"value": "1"}, {"to": "0x" + "5e" * 20}, {"value": str(2**200)}])
async def test_a_forged_transfer_settles_nothing(
    seller: Hostile, clock: Clock, tmp_path: Path, forged: dict[str, str]
) -> None:
    async with two_hosts(seller, clock, tmp_path) as (target, *hosts):
        (signed,) = seller.authorizations
        for host in hosts:
            host.take(signed | forged)
        await target.app.recovery.sweep()
        assert (target.states, target.counted) == (["unknown"], CLIP)


@pytest.mark.parametrize("belief", [{"balance": 10**30}, {"balance": 2**256 - 1}])
async def test_a_balance_that_is_a_lie_raises_no_limit(
    seller: Hostile, clock: Clock, chain: Rpc, tmp_path: Path, belief: dict[str, int]
) -> None:
    chain.believe(**belief)
    async with open_target(settle_down(tmp_path / "home", seller, chain), seller, clock) as target:
        target.home.write_policy({"per_payment": "0.40"})
        assert (await target.refuses()).code == "per_payment"


@pytest.mark.parametrize("belief", [{"balance": 0}, {"balance": CLIP - 1}, {"uses_everything": True}])
async def test_a_lie_about_the_wallet_can_only_refuse(
    seller: Hostile, clock: Clock, chain: Rpc, tmp_path: Path, belief: dict[str, int]
) -> None:
    chain.believe(**belief)
    async with open_target(settle_down(tmp_path / "home", seller, chain), seller, clock) as target:
        assert (await target.refuses()).code in {"balance", "paid_elsewhere", "chain_error"}


# The environment


@dataclass(frozen=True)
class Surrounded(Home):
    """A home whose servers also see ``variables``."""

    variables: tuple[tuple[str, str], ...] = ()

    @property
    def env(self) -> dict[str, str]:
        return super().env | dict(self.variables)


async def test_no_proxy_and_no_netrc_stands_between_a_payment_and_its_seller(
    elsewhere: Hostile, clock: Clock, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password netrc-secret\ndefault login a password netrc-secret\n")
    names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]
    variables = [(name, elsewhere.origin) for name in names] + [("NETRC", str(netrc)), ("NO_PROXY", "")]
    async with open_shop(wall_clock) as seller, open_rpc(wall_clock) as rpc:
        plain = settle_down(tmp_path / "home", seller, rpc)
        home = Surrounded(plain.folder, plain.settings, tuple(variables))
        (home.folder / ".netrc").write_bytes(netrc.read_bytes())
        home.picture()
        async with home.server() as agent:
            bought = await agent.ok("generate_video", prompt="waves", image="lake.png")
            await agent.clip(bought["job_id"])
        assert elsewhere.requests == []
        everything = b"".join(seen.everything for seen in [*seller.requests, *rpc.requests])
        assert b"netrc-secret" not in everything
        assert b"Basic " not in everything
        assert len(set(seller.credentials)) == 2
        assert rpc.requests


async def test_no_certificate_of_the_environment_makes_a_stranger_the_seller(
    monkeypatch: pytest.MonkeyPatch, seller: Hostile, clock: Clock, tmp_path: Path
) -> None:
    server_tls, _ = certificate(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    async with peer(reply(402), tls=server_tls) as stranger:
        origin = f"https://localhost:{stranger.host.rpartition(':')[2]}"
        # What the variable does to others:
        async with httpx.AsyncClient(verify=httpx.create_ssl_context()) as trusting:
            assert (await trusting.get(origin)).status_code == 402
        seen = len(stranger.requests)
        home = settle_down(tmp_path / "home", seller).having(STUDIO_URL=origin)
        async with open_target(home, seller, clock, own_tls=True) as target:
            assert (await target.refuses(image=seller.image)).code == "studio_unavailable"
        assert len(stranger.requests) == seen
