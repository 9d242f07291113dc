"""What each check makes of what it was told, without a network."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from seedance_mcp.chain import Block
from seedance_mcp.checkup.balances import check_balances
from seedance_mcp.checkup.clients import check_clients
from seedance_mcp.checkup.clocks import check_clock, check_ledger_clock
from seedance_mcp.checkup.finding import Finding, Status
from seedance_mcp.checkup.hosts import Hosts, check_hosts
from seedance_mcp.checkup.key import check_key, check_keystore, known_address
from seedance_mcp.checkup.output import check_output
from seedance_mcp.checkup.rules import check_policy, check_purchase, everyday_clip
from seedance_mcp.checkup.seller import Seller, check_seller
from seedance_mcp.errors import ChainError
from seedance_mcp.guard.policy import BUILT_IN, parse_policy
from seedance_mcp.guard.usage import WALLET, Spent, Usage
from seedance_mcp.orders import CHAIN_AHEAD, CHAIN_BEHIND
from seedance_mcp.payment.tokens import BASE_USDC, TEMPO_USDCE
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.settings import Settings
from tests.cli.shell import ADDRESS, KEY

RULES = parse_policy(BUILT_IN)
SELLER = Seller("seller.example", 1, "4-12 s, 720p", ahead=0)
CLIP = everyday_clip(1)
USUAL = {"upload": 10_000, "seedance": 330_000, "seedance-fast": 40_000}
SILENT = ChainError("The RPC host b.example cannot be reached")
posix = pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")


def hosts(*blocks: str | ChainError, ahead: int | None = 2) -> Hosts:
    """Of a.example, b.example and so on, each with the hash that it knows for block 7."""
    found = tuple(Block(7, block, 0) if isinstance(block, str) else block for block in blocks)
    return Hosts(BASE_USDC, tuple(f"{name}.example" for name in "abc"[: len(found)]), found, ahead)


def usage(**changes: object) -> Usage:
    plain = Usage(None, 0, {(WALLET, window): Spent() for window in ("hour", "day")}, {}, None, None)
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    names = ("KEYSTORE", "POLICY", "OUTPUT_DIR")
    environ = {f"SEEDANCE_{name}": str(tmp_path / "data" / name.lower()) for name in names}
    return replace(Settings.from_env(environ), policy_named=False)


def test_a_clock_that_agrees_is_said_to_agree_with_whom() -> None:
    found = check_clock(SELLER, [hosts("0x1"), hosts(SILENT, ahead=None)])
    assert (found.status, found.what) == (Status.OK, "this machine's clock agrees with the seller's and Base's")


@pytest.mark.parametrize(
    ("ahead", "what"),
    [(61, "this machine's clock is 61 s ahead of the seller's"), (-7200, "this machine's clock is 7,200 s behind the")],
)
def test_nothing_is_signed_by_a_clock_that_the_seller_contradicts(ahead: int, what: str) -> None:
    found = check_clock(replace(SELLER, ahead=ahead), [])
    assert found.status is Status.FAILED
    assert found.what.startswith(what)


@pytest.mark.parametrize(
    ("ahead", "status", "way"),
    [
        (-61, Status.WARNING, "behind"),
        (-CHAIN_AHEAD - 1, Status.FAILED, "behind"),
        (CHAIN_BEHIND + 1, Status.FAILED, "ahead of"),
    ],
)
def test_a_chain_that_contradicts_the_clock_is_told_as_purchases_take_it(ahead: int, status: Status, way: str) -> None:
    found = check_clock(SELLER, [hosts("0x1", ahead=ahead)])
    assert (found.status, found.what) == (
        status,
        f"this machine's clock is {abs(ahead):,} s {way} the newest block on Base",
    )
    assert "SEEDANCE_BASE_RPC_URL" in found.todo


def test_a_block_that_is_a_little_old_proves_nothing() -> None:
    found = check_clock(replace(SELLER, ahead=None), [hosts("0x1", ahead=CHAIN_BEHIND)])
    assert (found.status, found.what) == (Status.WARNING, "this machine's clock could be compared with nothing")


def test_the_ledger_s_clock_is_only_spoken_of_when_it_stops_purchases() -> None:
    assert list(check_ledger_clock(0)) == []
    (found,) = check_ledger_clock(3_600_000)
    assert found.status is Status.FAILED
    assert found.todo.endswith("run `seedance-mcp doctor --reset-clock`.")


@pytest.mark.parametrize(
    ("seen", "status", "what"),
    [
        (hosts("0x1", "0x1"), Status.OK, "a.example and b.example serve chain 8453 and agree on block 7"),
        (
            hosts("0x1", "0x2", "0x1"),
            Status.WARNING,
            "a.example, b.example and c.example do not agree on block 7: one of them is wrong",
        ),
        (hosts("0x1"), Status.WARNING, "a.example serves chain 8453; 2 must agree that a payment expired"),
        (
            hosts("0x1", SILENT, "0x1"),
            Status.WARNING,
            "a.example and c.example serve chain 8453 and agree on block 7; the RPC host b.example cannot be reached",
        ),
        (hosts(SILENT), Status.WARNING, SILENT.what),
    ],
)
def test_hosts_that_cannot_release_a_payment_are_a_warning(seen: Hosts, status: Status, what: str) -> None:
    found = check_hosts(seen, RULES)
    assert (found.status, found.what) == (status, what)
    assert ("SEEDANCE_BASE_RPC_URL" in found.todo) == (status is Status.WARNING)


class Rail:
    """As much of one as a line about its balance takes."""

    def __init__(self, token: object) -> None:
        self.token = token
        self.name = "x402" if token is BASE_USDC else "mpp"


RAILS = {"x402": Rail(BASE_USDC), "mpp": Rail(TEMPO_USDCE)}


def balances(base: int | ChainError, tempo: int | ChainError) -> Sequence[Finding]:
    return check_balances(RAILS, {"x402": base, "mpp": tempo}, CLIP, RULES, ADDRESS)  # type: ignore[arg-type]


def test_a_balance_is_told_in_clips_and_against_the_cap() -> None:
    base, tempo = balances(3_000_000, 25_000_000)
    assert base.what == (
        "$3.00 USDC on Base: enough for 7 clips of 5 s at 720p at $0.4125, "
        "less than the $10.00 that the policy allows a day"
    )
    assert base.facts["clips"] == 7
    # On Tempo each may cost $0.025 more.
    assert tempo.what == (
        "$25.00 USDC.e on Tempo: enough for 57 clips of 5 s at 720p at $0.4125, 2 days at the policy's $10.00 a day"
    )


def test_an_empty_rail_is_a_failure_only_without_another() -> None:
    assert [line.status for line in balances(0, 437_500)] == [Status.WARNING, Status.OK]
    assert [line.status for line in balances(412_499, 437_499)] == [Status.FAILED, Status.FAILED]
    assert [line.status for line in balances(0, SILENT)] == [Status.WARNING, Status.WARNING]
    assert balances(0, 0)[0].todo == f"Send USDC on Base to {ADDRESS}."


def test_what_the_policy_would_say_to_a_clip_is_told() -> None:
    found = check_purchase(RULES, usage(), CLIP, "x402", "default")
    assert (found.status, found.what) == (
        Status.OK,
        "a clip of 5 s at 720p for $0.4125 would be allowed; $10.00 of $10.00 a day are left",
    )
    found = check_purchase(RULES, usage(frozen="a leak"), CLIP, "x402", "default")
    assert (found.status, found.todo) == (Status.FAILED, "The operator can run `seedance-mcp unfreeze`.")
    found = check_purchase(RULES, usage(clock_ahead=90_000), CLIP, "x402", "default")
    assert found.todo == "If this machine's clock is right, run `seedance-mcp doctor --reset-clock`."
    found = check_purchase(RULES, usage(generation=2), CLIP, "x402", "default")
    assert found.status is Status.WARNING
    assert "would wait for your approval" in found.what
    spent = {(WALLET, "hour"): Spent(4_900_000), (WALLET, "day"): Spent(4_900_000)}
    found = check_purchase(RULES, usage(spent=spent), CLIP, "x402", "default")
    assert found.status is Status.FAILED
    assert "$5.00" in found.what


def test_a_folder_for_clips_that_could_not_be_made_is_a_failure(settings: Settings, tmp_path: Path) -> None:
    new = replace(settings, output_dir=tmp_path / "new" / "clips")
    assert check_output(new).status is Status.OK
    assert not new.output_dir.parent.exists(), "nothing is made"
    (tmp_path / "new").write_text("")
    found = check_output(new)
    assert (found.status, found.what) == (Status.FAILED, f"{new.output_dir} cannot be written")
    assert "SEEDANCE_OUTPUT_DIR" in found.todo


def test_a_seller_of_another_generation_than_last_time_is_a_warning() -> None:
    assert check_seller(SELLER, 1).status is Status.OK
    found = check_seller(SELLER, 2)
    assert (found.status, found.todo) == (
        Status.WARNING,
        "Each purchase asks you, until `seedance-mcp trust --generation 1`.",
    )
    found = check_seller(replace(SELLER, generation=None, problem="it did not answer in time"), None)
    assert (found.status, found.what) == (Status.FAILED, "seller.example: it did not answer in time")


def test_a_policy_file_that_is_gone_fails_once_it_was_seen(settings: Settings) -> None:
    found, rules = check_policy(settings, USUAL, seen=False)
    assert found.status is Status.OK
    assert rules is not None
    found, rules = check_policy(settings, USUAL, seen=True)
    assert (found.status, rules) == (Status.FAILED, None)
    found, _ = check_policy(replace(settings, policy_named=True), USUAL, seen=False)
    assert found.what == f"{settings.policy} is not there, and SEEDANCE_POLICY names it"


def test_a_policy_is_judged_like_policy_check(settings: Settings) -> None:
    settings.policy.parent.mkdir()
    settings.policy.touch(0o600)
    settings.policy.write_text(BUILT_IN.replace('per_day = "10.00"', 'per_day = "4.00"'))
    found, rules = check_policy(settings, USUAL, seen=True)
    assert found.status is Status.WARNING
    assert "per_hour" in found.what
    assert rules is not None
    settings.policy.write_text("version = 2")
    found, rules = check_policy(settings, USUAL, seen=True)
    assert (found.status, rules) == (Status.FAILED, None)


@posix
def test_who_can_read_the_key_is_looked_at(settings: Settings, tmp_path: Path) -> None:
    assert check_keystore(settings) is None
    Wallet.from_hex(KEY).to_keystore("secret", settings.keystore)
    password = tmp_path / "password"
    password.touch(0o600)
    settings = replace(settings, keystore_password_file=password)
    assert check_keystore(settings) == Finding("keystore", Status.OK, f"{settings.keystore} is yours alone")
    for path, mode, status, todo in (
        (password, 0o640, Status.WARNING, f"Run `chmod 600 {password}`."),
        (settings.keystore.parent, 0o770, Status.WARNING, f"Run `chmod 700 {settings.keystore.parent}`."),
        (settings.keystore, 0o644, Status.FAILED, f"Run `chmod 600 {settings.keystore}`."),
    ):
        path.chmod(mode)
        found = check_keystore(settings)
        assert found is not None
        assert (found.status, found.todo) == (status, todo)


def test_a_key_counts_only_if_it_can_be_opened(settings: Settings, tmp_path: Path) -> None:
    assert check_key(settings).todo == "Run `seedance-mcp init`, or `seedance-mcp wallet new`."
    Wallet.from_hex(KEY).to_keystore("secret", settings.keystore)
    assert known_address(settings) == ADDRESS
    found = check_key(settings)
    assert (found.status, found.what) == (Status.FAILED, f"{settings.keystore} is there, and its password is nowhere")
    password = tmp_path / "password"
    password.write_text("wrong\n")
    settings = replace(settings, keystore_password_file=password)
    assert "is not opened by this password" in check_key(settings).what
    password.write_text("secret\n")
    found = check_key(settings)
    assert (found.status, found.what) == (Status.OK, f"{ADDRESS}, opened with the password in {password}")
    found = check_key(replace(settings, private_key=KEY))
    assert (found.status, KEY[2:] in repr(found)) == (Status.WARNING, False)
    assert check_key(replace(settings, private_key="0x12")).status is Status.FAILED


def test_a_client_that_cannot_start_the_server_is_a_failure(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("CODEX_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "bin" / "seedance-mcp"
    program.parent.mkdir()
    program.touch(0o755)
    same = (
        f'"SEEDANCE_KEYSTORE": "{settings.keystore}", "SEEDANCE_POLICY": "{settings.policy}", '
        f'"SEEDANCE_LEDGER": "{settings.ledger}"'
    )

    def lines(client: str, command: str = "seedance-mcp", env: str = "") -> list[tuple[Status, str]]:
        places = {"claude-desktop": "config/Claude/claude_desktop_config.json", "claude-code": ".mcp.json"}
        file = tmp_path / places[client]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'{{"mcpServers": {{"clips": {{"command": "{command}", "env": {{{env}}}}}}}}}')
        found = [(line.status, f"{line.check}: {line.what} {line.todo}") for line in check_clients(settings)]
        file.unlink()
        return found

    assert [line.todo for line in check_clients(settings)] == ["Run `seedance-mcp init`."]
    ((status, told),) = lines("claude-desktop", env=same)
    assert status is Status.OK
    assert told.startswith("client claude-desktop: 'clips' in ")
    ((status, told),) = lines("claude-desktop", command="/gone/seedance-mcp", env=same)
    assert status is Status.FAILED
    assert "starts /gone/seedance-mcp, which is not there" in told
    ((status, told),) = lines("claude-desktop", env=f'{same}, "SEEDANCE_AGENT": "${{NAME}}"')
    assert status is Status.FAILED
    assert "placeholder" in told
    ((status, _),) = lines("claude-code", env=f'{same}, "SEEDANCE_AGENT": "${{NAME}}"')
    assert status is Status.OK, "Claude Code fills it in"
    ((status, told),) = lines("claude-code", env=f'{same}, "SEEDANCE_PRIVATE_KEY": "{KEY}"')
    assert status is Status.WARNING
    assert KEY[2:] not in told
    ((status, told),) = lines("claude-code", env=same.replace("ledger.db", "other.db"))
    assert status is Status.WARNING
    assert "sets another SEEDANCE_LEDGER than this shell" in told
    assert "run this with SEEDANCE_LEDGER=" in told
