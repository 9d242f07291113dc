from inspect import isclass

import pytest

from seedance_mcp import errors
from seedance_mcp.errors import (
    UNKNOWN_OUTCOME,
    BadChallenge,
    InvalidArgument,
    Money,
    NoWallet,
    OutcomeUnknown,
    Refused,
    SeedanceError,
    StudioUnavailable,
    capitalised,
    sentence,
)

KINDS = [
    kind
    for kind in vars(errors).values()
    if isclass(kind) and issubclass(kind, SeedanceError) and kind is not OutcomeUnknown
]


def test_a_text_says_what_failed_then_the_money_then_the_next_step() -> None:
    error = Refused("the limit is reached", next="Call again tomorrow")
    assert str(error) == "the limit is reached. Nothing was charged. Call again tomorrow."


def test_money_that_left_is_named() -> None:
    error = StudioUnavailable("the seller went away", charged=330_000)
    assert error.money is Money.CHARGED
    assert str(error) == "the seller went away. $0.33 was charged. Call again in a minute."


def test_money_that_an_earlier_step_paid_is_told_to_programs_too() -> None:
    error = Refused("the limit is reached")
    error.charged += 10_000
    assert error.money is Money.CHARGED
    unknown = OutcomeUnknown("no answer came", purchase_id="pur_1")
    unknown.charged += 10_000
    assert unknown.money is Money.UNKNOWN


def test_an_unknown_outcome_forbids_another_purchase() -> None:
    error = OutcomeUnknown("no answer came", purchase_id="pur_1")
    assert (error.money, error.charged, error.purchase_id) == (Money.UNKNOWN, 0, "pur_1")
    assert str(error) == (
        f"no answer came. {UNKNOWN_OUTCOME} Call check_job with purchase_id pur_1; repeating the very same call is "
        "safe too, since it sends the same bytes again and never pays twice."
    )
    assert "do not buy again" in UNKNOWN_OUTCOME


def test_an_unknown_outcome_is_not_hidden_by_what_was_charged_before() -> None:
    error = SeedanceError("the clip's payment hangs", money=Money.UNKNOWN, charged=10_000)
    assert error.money is Money.UNKNOWN
    assert error.fate == UNKNOWN_OUTCOME


def test_a_class_has_a_next_step_of_its_own_until_another_is_given() -> None:
    assert "wallet new" in NoWallet("no key").next
    assert NoWallet("no key", next="Ask Ada.").next == "Ask Ada."
    assert NoWallet("no key", next="").next == ""
    assert str(NoWallet("no key", next="")) == "no key. Nothing was charged."


def test_a_code_is_the_class_s_until_another_is_given() -> None:
    assert InvalidArgument("x").code == "invalid_argument"
    assert Refused("x", code="per_day").code == "per_day"
    assert BadChallenge.code == "bad_challenge"


def test_every_kind_of_error_has_its_own_code() -> None:
    codes = [kind.code for kind in KINDS]
    assert len(set(codes)) == len(codes) > 10


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_error_is_told_in_sentences(kind: type[SeedanceError]) -> None:
    error = kind("something happened")
    assert str(error).startswith("something happened. Nothing was charged.")
    assert str(error).endswith(".")
    assert error.args == ("something happened",)


@pytest.mark.parametrize(
    ("text", "told"),
    [("done", "done."), (" done ", "done."), ("done.", "done."), ("why?", "why?"), ("no!", "no!"), ("", "")],
)
def test_a_sentence_ends_once(text: str, told: str) -> None:
    assert sentence(text) == told


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("the seller is silent.", "The seller is silent."),
        ("this machine's clock is behind.", "This machine's clock is behind."),
        ("no.", "No."),
        ("quote_id has expired.", "quote_id has expired."),
        ("generate_video has no argument 'x'.", "generate_video has no argument 'x'."),
        ("http://seller.example could not be reached.", "http://seller.example could not be reached."),
        ("10.0.0.1 is not public.", "10.0.0.1 is not public."),
        ("seller.example is not public.", "seller.example is not public."),
        ("$0.99 is above the limit.", "$0.99 is above the limit."),
        ("", ""),
    ],
)
def test_a_sentence_begins_with_a_capital_and_a_name_stays_as_it_is(text: str, sentence: str) -> None:
    assert capitalised(text) == sentence
