from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedance_mcp.money import USD, dollars, from_number, parse_share, parse_usd, raised, usd

amounts = st.integers(0, 10**15 - 1)
"""Everything that can be written: below a billion dollars."""


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("0", 0),
        ("0.36", 360_000),
        ("0.4125", 412_500),
        ("1", USD),
        ("1.000001", 1_000_001),
        ("999999999.999999", 999_999_999_999_999),
    ],
)
def test_an_amount_is_read_exactly(text: str, micros: int) -> None:
    assert parse_usd(text) == micros


@pytest.mark.parametrize(
    "text",
    [
        *["", " 1", "1 ", "1\n", "+1", "-1", "01", "00.5", ".5", "1.", "1e6", "1E-2", "1_000", "1,5", "$1", "0x10"],
        *["0.0000001", "1000000000", "1" * 10_000, "NaN", "inf", "\uff11", "\u0661", "1.\u0662"],
    ],
)
def test_anything_but_plain_digits_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount in dollars") as caught:
        parse_usd(text)
    assert len(str(caught.value)) < 200, "a long text is not repeated in full"


@given(amounts)
def test_an_amount_survives_being_written(micros: int) -> None:
    assert parse_usd(usd(micros)) == micros


@given(st.text())
def test_a_text_is_an_amount_or_a_value_error(text: str) -> None:
    try:
        micros = parse_usd(text)
    except ValueError:
        return
    assert type(micros) is int
    assert 0 <= micros < 10**15


@given(amounts)
def test_a_written_amount_has_two_to_six_decimals_and_no_idle_zeros(micros: int) -> None:
    _, _, decimals = usd(micros).partition(".")
    assert 2 <= len(decimals) <= 6
    assert len(decimals) == 2 or not decimals.endswith("0")


@pytest.mark.parametrize(
    ("micros", "plain", "spoken"),
    [(360_000, "0.36", "$0.36"), (-360_000, "-0.36", "-$0.36"), (0, "0.00", "$0.00"), (1, "0.000001", "$0.000001")],
)
def test_amounts_are_written_for_programs_and_for_people(micros: int, plain: str, spoken: str) -> None:
    assert usd(micros) == plain
    assert dollars(micros) == spoken


@pytest.mark.parametrize(
    ("value", "micros"),
    [(2, 2 * USD), ("0.5", 500_000), (Decimal("0.50"), 500_000), (Decimal("5E-1"), 500_000), (Decimal("1E+2"), 10**8)],
)
def test_a_clients_number_is_read_exactly(value: Decimal | str | int, micros: int) -> None:
    assert from_number(value) == micros


@pytest.mark.parametrize(
    "value", [-1, "1e2", Decimal(-1), Decimal("0.0000001"), Decimal("NaN"), Decimal("Infinity"), Decimal("1E+9")]
)
def test_a_clients_number_that_is_no_amount_is_refused(value: Decimal | str | int) -> None:
    with pytest.raises(ValueError, match="is not an amount in dollars"):
        from_number(value)


@given(amounts, st.integers(0, 6))
def test_a_clients_number_means_the_same_as_its_text(micros: int, idle_zeros: int) -> None:
    number = Decimal(usd(micros)) + Decimal(f"0E-{idle_zeros}")
    assert from_number(number) == micros


def test_a_share_is_parts_per_million() -> None:
    assert parse_share("0.25") == 250_000
    with pytest.raises(ValueError, match="is not a share"):
        parse_share("25%")


@given(amounts, st.integers(0, 2_000_000))
def test_a_raised_amount_is_rounded_down(amount: int, share: int) -> None:
    more = raised(amount, share)
    assert amount <= more
    assert (more - amount) * 1_000_000 <= amount * share < (more - amount + 1) * 1_000_000
