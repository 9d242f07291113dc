import hashlib
import re
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedance_mcp.errors import InvalidPolicy
from seedance_mcp.guard.policy import BUILT_IN, Caps, Policy, mistakes, parse_policy
from seedance_mcp.money import usd
from tests.guard.examples import OTHER, PAY_TO

SMALLEST = """\
version = 1
[caps]
per_payment = "1"
per_hour = "2"
per_day = "3"
"""


def refused(text: str) -> str:
    """The first mistake, without its place."""
    with pytest.raises(InvalidPolicy) as caught:
        parse_policy(text)
    assert caught.value.what == str(mistakes(text)[0])
    return re.sub(r" \(at line [0-9]+, column [0-9]+\)$", "", caught.value.what)


def test_the_built_in_policy_is_the_documented_one() -> None:
    policy = parse_policy(BUILT_IN)
    assert policy.caps == Caps(
        per_payment=2_500_000, per_hour=5_000_000, per_day=10_000_000, payments_per_day=60, unresolved=3
    )
    assert (policy.approval_above, policy.approval_expires) == (1_500_000, 900)
    assert (policy.over_quote, policy.over_table) == (0, 250_000)
    assert policy.pay_to is None
    assert (policy.rails, policy.valid_for, policy.rpc_agree) == (("x402", "mpp"), 120, 2)
    assert (policy.models, policy.agents) == ({}, {})


def test_what_is_left_out_has_the_documented_default() -> None:
    policy, built_in = parse_policy(SMALLEST), parse_policy(BUILT_IN)
    for name in ("approval_expires", "over_quote", "over_table", "pay_to", "rails", "valid_for", "rpc_agree"):
        assert getattr(policy, name) == getattr(built_in, name)


def test_models_and_agents_have_caps_of_their_own() -> None:
    policy = parse_policy(SMALLEST + '[models.seedance-fast]\nper_week = "4"\n[agents.storyboard]\nunresolved = 2\n')
    assert policy.models == {"seedance-fast": Caps(per_week=4_000_000)}
    assert policy.agents == {"storyboard": Caps(unresolved=2)}


def test_a_listed_recipient_replaces_trust_on_first_use() -> None:
    assert parse_policy(SMALLEST + f'[studio]\npay_to = ["{PAY_TO}", "{OTHER}"]\n').pay_to == (PAY_TO, OTHER)


def test_zero_is_a_limit_and_not_an_absent_one() -> None:
    text = SMALLEST.replace('per_payment = "1"', 'per_payment = "0"\npayments_per_day = 0\ntotal = "0"')
    caps = parse_policy(text + '[price]\nover_table = "0"\n')
    assert (caps.caps.per_payment, caps.caps.payments_per_day, caps.caps.total, caps.over_table) == (0, 0, 0, 0)


def test_the_digest_is_of_the_text() -> None:
    assert parse_policy(SMALLEST).digest == hashlib.sha256(SMALLEST.encode()).hexdigest()
    assert parse_policy(SMALLEST + "# a remark\n").digest != parse_policy(SMALLEST).digest


@pytest.mark.parametrize("key", ["per_payment", "per_hour", "per_day"])
def test_the_three_wallet_caps_are_required(key: str) -> None:
    text = "".join(line for line in SMALLEST.splitlines(keepends=True) if not line.startswith(key))
    assert refused(text) == "the policy's [caps] needs per_payment, per_hour and per_day"


@pytest.mark.parametrize("number", ["2.5", "1e3", "inf", "-nan", "0.25"])
@pytest.mark.parametrize("place", ["[caps]\nper_week = {}", "[price]\nover_quote = {}", "[nonsense]\nx = {}"])
def test_a_float_is_refused_wherever_it_stands(place: str, number: str) -> None:
    text = SMALLEST + place.removeprefix("[caps]\n").format(number)
    assert mistakes(text)[0].place == (len(text.split("\n")), 1)
    assert refused(text) == f'the policy has the number {number}: write amounts and shares as strings, like "{number}"'


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ('per_week = 2', "the policy's caps.per_week: 2 is not an amount"),
        ('per_week = "2 USD"', "the policy's caps.per_week: '2 USD' is not an amount"),
        ('per_week = "-2"', "the policy's caps.per_week: '-2' is not an amount"),
        ('unresolved = true', "the policy's caps.unresolved: True is not a whole number from 0 to 1000000"),
        ('unresolved = -1', "the policy's caps.unresolved: -1 is not a whole number"),
        ('payments_per_day = "9"', "the policy's caps.payments_per_day: '9' is not a whole number"),
        ('[approval]\nexpires = "15"', "the policy's approval.expires: '15' is not a time"),
        ('[approval]\nexpires = "0m"', "the policy's approval.expires: '0m' is not a time"),
        ('[price]\nover_table = "25%"', "the policy's price.over_table: '25%' is not a share"),
        ('[studio]\npay_to = "anyone"', "the policy's studio.pay_to: 'anyone' is neither"),
        ("[studio]\npay_to = []", "the policy's studio.pay_to: [] is neither"),
        ('[studio]\npay_to = ["0x12"]', "the policy's studio.pay_to: ['0x12'] is neither"),
        ('[rails]\norder = ["x402", "x402"]', "the policy's rails.order: ['x402', 'x402'] is not a list of x402, mpp"),
        ('[rails]\norder = ["cash"]', "the policy's rails.order: ['cash'] is not a list of x402, mpp"),
        ('[rails]\norder = [["x402"]]', "the policy's rails.order: [['x402']] is not a list of x402, mpp"),
        ("[rails]\norder = []", "the policy's rails.order: [] is not a list of x402, mpp"),
        ('[rails]\nvalid_for = "301s"', "the policy's rails.valid_for: '301s' is out of range"),
        ('[rails]\nvalid_for = "29s"', "the policy's rails.valid_for: '29s' is out of range"),
        ("[rails]\nrpc_agree = 0", "the policy's rails.rpc_agree: 0 is not a whole number from 1 to 9"),
        ("[models]\nseedance = 3", "the policy's `models.seedance` must be a table"),
        ('[agents.ada]\nper_hour = "x"', "the policy's agents.ada.per_hour: 'x' is not an amount"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_with_its_key(lines: str, problem: str) -> None:
    assert refused(f"{SMALLEST}{lines}\n").startswith(problem)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ('per_weak = "1"', "unknown key `caps.per_weak`; did you mean `per_week`?"),
        ('[price]\nover_qoute = "0"', "unknown key `price.over_qoute`; did you mean `over_quote`?"),
        ("[agents.ada]\nunresolvd = 1", "unknown key `agents.ada.unresolvd`; did you mean `unresolved`?"),
        ("[aprovals]\nx = 1", "unknown key `aprovals`; did you mean `approval`?"),
        ("[studio]\nzzz = 1", "unknown key `studio.zzz`; allowed are pay_to"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_name(lines: str, problem: str) -> None:
    assert refused(f"{SMALLEST}{lines}\n") == f"the policy has an {problem}"


def test_a_mistake_is_told_with_its_line_and_column() -> None:
    with pytest.raises(InvalidPolicy) as caught:
        parse_policy(SMALLEST + '  per_weak = "1"\n')
    assert caught.value.what == (
        "the policy has an unknown key `caps.per_weak`; did you mean `per_week`? (at line 6, column 3)"
    )


def test_all_mistakes_are_found_at_once_from_top_to_bottom() -> None:
    text = """\
version = 2
[approval]
above = "a lot"
[caps]
per_payment = "1"
per_huor = "2"
per_day = 3
[agents."the ada"]
unresolvd = 1
"""
    assert [(mistake.key, mistake.place) for mistake in mistakes(text)] == [
        (("version",), (1, 1)),
        (("approval", "above"), (3, 1)),
        (("caps", "per_huor"), (6, 1)),
        (("caps", "per_day"), (7, 1)),
        (("agents", "the ada", "unresolvd"), (9, 1)),
    ]
    assert mistakes(SMALLEST) == ()


def test_what_is_missing_is_told_where_it_should_be() -> None:
    assert [mistake.place for mistake in mistakes("version = 1\n[caps]\n")] == [(2, 2)]
    assert [(str(mistake), mistake.place) for mistake in mistakes("")] == [
        ("the policy needs `version = 1`", None),
        ("the policy's [caps] needs per_payment, per_hour and per_day", None),
    ]


def test_toml_s_own_mistakes_have_their_place_once() -> None:
    with pytest.raises(InvalidPolicy) as caught:
        parse_policy(SMALLEST + "per_week\n")
    (mistake,) = mistakes(SMALLEST + "per_week\n")
    assert mistake.place == (6, 9)
    assert caught.value.what.count("at line 6, column 9") == 1


@pytest.mark.parametrize("version", ["", "version = 2", "version = true", 'version = "1"'])
def test_another_version_is_refused(version: str) -> None:
    assert "version" in refused(SMALLEST.replace("version = 1", version))


@pytest.mark.parametrize(
    "text",
    [
        "per_day",
        SMALLEST + 'per_day = "9"\n',
        SMALLEST + "x = " + "[" * 5_000,
        SMALLEST + "unresolved = " + "9" * 5_000,
        "version = 1\n[caps\n",
    ],
)
def test_a_file_that_is_not_toml_is_refused(text: str) -> None:
    assert refused(text).startswith("the policy is not valid TOML: ")


@given(st.text(max_size=60), st.integers(0, len(BUILT_IN)))
def test_a_damaged_file_is_a_policy_or_is_refused(noise: str, place: int) -> None:
    try:
        policy = parse_policy(BUILT_IN[:place] + noise + BUILT_IN[place:])
    except InvalidPolicy:
        return
    assert isinstance(policy, Policy)
    assert all(type(amount) is int for _, amount in policy.caps.money())


limits = st.fixed_dictionaries(
    {},
    optional={
        field.name: st.integers(0, 1_000_000)
        if field.name in {"payments_per_hour", "payments_per_day", "unresolved"}
        else st.integers(0, 10**15 - 1).map(usd)
        for field in fields(Caps)
    },
)


@given(limits)
def test_every_cap_comes_back_as_it_was_written(written: dict[str, Any]) -> None:
    lines = "".join(
        f'{name} = "{value}"\n' if isinstance(value, str) else f"{name} = {value}\n" for name, value in written.items()
    )
    read = parse_policy(f"{SMALLEST}[agents.ada]\n{lines}").agents["ada"]
    for field in fields(Caps):
        value = getattr(read, field.name)
        assert value is None or type(value) is int
        spoken = usd(value) if value is not None and isinstance(written.get(field.name), str) else value
        assert spoken == written.get(field.name)
