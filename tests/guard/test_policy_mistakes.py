import pytest

from seedance_mcp.errors import InvalidPolicy
from seedance_mcp.guard.policy import BUILT_IN, mistakes, parse_policy


def found(text: str) -> str:
    [mistake] = mistakes(text)
    return mistake.what


@pytest.mark.parametrize(("name", "meant"), [("seedence-fast", "seedance-fast"), ("zzz", "seedance")])
def test_a_limit_on_a_model_that_nobody_sells_is_told_with_the_nearest_or_the_first_one(name: str, meant: str) -> None:
    told = found(f'{BUILT_IN}[models.{name}]\ntotal = "1"\n')
    assert told == f"the policy limits an unknown model `{name}`; did you mean `{meant}`?"


def test_a_number_is_found_inside_of_lists() -> None:
    assert found(BUILT_IN.replace('order = ["x402", "mpp"]', "order = [[1, 2.5]]")).startswith(
        "the policy has the number 2.5: "
    )


def test_of_a_long_number_forty_characters_are_told() -> None:
    told = found(f"{BUILT_IN}over = 0.{'1' * 60}\n")
    assert told.startswith(f"the policy has the number 0.{'1' * 38}: ")


def test_what_is_no_toml_is_told_in_the_words_of_the_parser_and_with_its_place() -> None:
    [mistake] = mistakes("version = 1\nversion = 1\n")
    assert mistake.what == "the policy is not valid TOML: Cannot overwrite a value"
    assert mistake.place == (2, 12)


def test_mistakes_are_told_from_top_to_bottom_and_what_is_missing_first() -> None:
    text = BUILT_IN.replace("version = 1\n", "").replace('"2.50"', "1").replace('"15m"', "2")
    told = mistakes(text)
    assert [mistake.key for mistake in told] == [("version",), ("caps", "per_payment"), ("approval", "expires")]
    assert [mistake.place for mistake in told] == [None, (2, 1), (9, 1)]
    with pytest.raises(InvalidPolicy, match=r"^the policy needs `version = 1`"):
        parse_policy(text)


def test_every_setting_of_the_file_is_one_of_the_policy() -> None:
    rules = parse_policy(
        """
        version = 1
        caps = { per_payment = "1", per_hour = "2", per_day = "3" }
        approval = { above = "0.50", expires = "2m" }
        price = { over_quote = "0.1", over_table = "0.5" }
        rails = { order = ["mpp"], valid_for = "45s", rpc_agree = 3 }
        """
    )
    assert (rules.approval_above, rules.approval_expires) == (500_000, 120)
    assert (rules.over_quote, rules.over_table) == (100_000, 500_000)
    assert (rules.rails, rules.valid_for, rules.rpc_agree) == (("mpp",), 45, 3)
