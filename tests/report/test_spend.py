import csv
from datetime import date

import pytest

from seedance_mcp.ledger.history import Sums
from seedance_mcp.report.spend import Spend, as_csv, as_json, as_table, per_second

MODELS = Spend(
    "model",
    None,
    {
        "seedance": Sums(3, settled=360_000, claimed=360_000, held=361_500, fees=1_200, seconds=10),
        "upload": Sums(1, settled=10_000),
    },
)


@pytest.mark.parametrize(
    ("paid", "seconds", "shown"),
    [
        (412_500, 5, 82_500),
        (1_000_000, 3, 333_300),
        (2_000_000, 3, 666_700),
        (250, 5, 100),
        (0, 5, 0),
        (360_000, 0, None),
    ],
)
def test_the_price_of_a_finished_second_is_rounded_to_a_hundredth_of_a_cent(
    paid: int, seconds: int, shown: int | None
) -> None:
    assert per_second(Sums(settled=paid, seconds=seconds)) == shown


def test_the_price_of_a_finished_second_has_all_that_was_paid_and_nothing_else() -> None:
    paid = Sums(settled=100_000, claimed=200_000, fees=500_000, seconds=10)
    assert per_second(paid + Sums(held=1, written_off=1, outside=1)) == 80_000


def test_amounts_stand_apart_and_add_up() -> None:
    assert as_table(MODELS) == (
        "model     payments  settled  claimed    held    fees   total  per second\n"
        "------------------------------------------------------------------------\n"
        "seedance         3     0.36     0.36  0.3615  0.0012  1.0827      0.0721\n"
        "upload           1     0.01     0.00    0.00    0.00    0.01           -\n"
        "sum              4     0.37     0.36  0.3615  0.0012  1.0927      0.0731"
    )


def test_what_is_rare_has_a_column_only_where_there_is_any() -> None:
    spend = Spend("day", date(2026, 5, 1), {"2026-05-01": Sums(1, written_off=360_000, outside=5_000_000)})
    assert as_table(spend) == (
        "day         payments  settled  claimed  held  written off  outside  fees  total  per second\n"
        "-------------------------------------------------------------------------------------------\n"
        "2026-05-01         1     0.00     0.00  0.00         0.36     5.00  0.00   5.36           -"
    )


def test_what_came_back_is_taken_off_nothing() -> None:
    spend = Spend("rail", None, {"x402": Sums(1, settled=360_000, refunded=360_000, seconds=5)})
    assert as_table(spend) == (
        "rail  payments  settled  claimed  held  fees  total  refunded  per second\n"
        "-------------------------------------------------------------------------\n"
        "x402         1     0.36     0.00  0.00  0.00   0.36      0.36       0.072"
    )


def test_csv_and_json_name_the_same_things() -> None:
    rows = list(csv.DictReader(as_csv(MODELS).splitlines()))
    told = as_json(MODELS)["rows"]
    assert isinstance(told, list)
    assert [{name: str(value) for name, value in row.items() if value is not None} for row in told] == [
        {name: value for name, value in row.items() if value} for row in rows
    ]
    assert rows[0]["total_usd"] == "1.0827"
    assert rows[1]["usd_per_finished_second"] == ""


def test_nothing_is_a_sum_too() -> None:
    assert as_json(Spend("day", None, {}))["rows"] == []
    assert as_csv(Spend("day", None, {})).count("\n") == 1
