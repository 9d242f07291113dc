import pytest

from seedance_mcp.guard.contradictions import contradictions
from seedance_mcp.guard.policy import BUILT_IN, parse_policy

PRICES = {"seedance": 412_500, "seedance-fast": 50_000, "upload": 10_000}
GENEROUS = """\
version = 1
[caps]
per_payment = "2"
per_hour = "4"
per_day = "8"
"""

NEVER_ASKED = (
    "approval.above: approval.above ($2.00) is not below per_payment ($2.00), which refuses first: "
    "nobody is ever asked because of the price"
)


def warned(text: str) -> list[str]:
    return [f"{'.'.join(mistake.key)}: {mistake.what}" for mistake in contradictions(parse_policy(text), PRICES)]


def test_nothing_is_wrong_with_the_built_in_policy() -> None:
    assert warned(BUILT_IN) == warned(GENEROUS) == []


@pytest.mark.parametrize(
    ("lines", "warning"),
    [
        ('per_week = "7.99"', "caps.per_day: per_day ($8.00) is above per_week ($7.99), so it never binds"),
        ('total = "7.99"', "caps.per_day: per_day ($8.00) is above total ($7.99), so it never binds"),
        (
            "payments_per_hour = 9\npayments_per_day = 8",
            "caps.payments_per_hour: payments_per_hour (9) is above payments_per_day (8), so it never binds",
        ),
        (
            '[approval]\nabove = "2"',
            NEVER_ASKED,
        ),
        ("unresolved = 0", "caps.unresolved: unresolved is 0, so nothing is ever bought"),
        (
            '[models.seedance]\nper_day = "0.41"',
            "models.seedance.per_day: per_day ($0.41) is less than a default clip of seedance costs ($0.4125)",
        ),
        (
            '[models.upload]\nper_payment = "0.009"',
            "models.upload.per_payment: per_payment ($0.009) is less than an upload costs ($0.01)",
        ),
        (
            '[models.seedance]\nper_hour = "3"\nper_day = "2"',
            "models.seedance.per_hour: per_hour ($3.00) is above per_day ($2.00), so it never binds",
        ),
        (
            '[models.seedance]\nper_day = "8.01"',
            "models.seedance.per_day: per_day ($8.01) is above that of [caps] ($8.00), so it never binds",
        ),
        (
            '[agents.ada]\ntotal = "0.41"',
            "agents.ada.total: total ($0.41) is less than a default clip of seedance costs ($0.4125)",
        ),
        (
            '[agents.ada]\nper_hour = "4.01"',
            "agents.ada.per_hour: per_hour ($4.01) is above that of [caps] ($4.00), so it never binds",
        ),
        (
            "[agents.ada]\nunresolved = 4",
            "agents.ada.unresolved: unresolved (4) is above that of [caps] (3), so it never binds",
        ),
        (
            "unresolved = 1\n[agents.ada]\nunresolved = 2",
            "agents.ada.unresolved: unresolved (2) is above that of [caps] (1), so it never binds",
        ),
        ("[agents.ada]", "agents.ada: [agents.ada] is empty, so it limits nothing"),
    ],
)
def test_what_can_hardly_be_meant_is_told(lines: str, warning: str) -> None:
    assert warned(f"{GENEROUS}{lines}\n") == [warning]


@pytest.mark.parametrize(
    "lines",
    [
        'per_week = "8"',
        "payments_per_hour = 8\npayments_per_day = 8",
        '[approval]\nabove = "1.99"',
        '[models.seedance]\nper_day = "0.4125"',
        '[models.seedance-fast]\nper_day = "0.05"',
        '[agents.ada]\nper_hour = "4"',
        "[agents.ada]\nunresolved = 3",
        "unresolved = 5\n[agents.ada]\nunresolved = 5",
        '[agents.ada]\nper_week = "900"',
    ],
)
def test_what_just_fits_is_not(lines: str) -> None:
    assert warned(f"{GENEROUS}{lines}\n") == []


def test_each_cap_is_told_once_and_against_the_tightest_one() -> None:
    assert warned(f'{GENEROUS}per_week = "3"\nper_month = "1"\n') == [
        f"caps.{name}: {name} ({amount}) is above per_month ($1.00), so it never binds"
        for name, amount in (
            ("per_payment", "$2.00"),
            ("per_hour", "$4.00"),
            ("per_day", "$8.00"),
            ("per_week", "$3.00"),
        )
    ]
