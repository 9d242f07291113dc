import pytest

from seedance_mcp.guard.document import as_toml, document
from seedance_mcp.guard.policy import BUILT_IN, Caps, parse_policy
from tests.guard.examples import OTHER, PAY_TO, policy

UNUSUAL = policy(
    per_week=20_000_000,
    payments_per_day=None,
    approval_above=None,
    approval_expires=5_400,
    over_quote=50_000,
    over_table=0,
    pay_to=(PAY_TO, OTHER),
    rails=("mpp",),
    valid_for=61,
    rpc_agree=3,
    models={"upload": Caps(total=12_500, payments_per_hour=7)},
    agents={"the ada": Caps(unresolved=0), "bob": Caps()},
)
TEXT = f"""\
version = 1

[caps]
per_payment = "2.50"
per_hour = "5.00"
per_day = "10.00"
per_week = "20.00"
unresolved = 3

[approval]
expires = "90m"

[price]
over_quote = "0.05"
over_table = "0.00"

[studio]
pay_to = ["{PAY_TO}", "{OTHER}"]

[rails]
order = ["mpp"]
valid_for = "61s"
rpc_agree = 3

[models.upload]
total = "0.0125"
payments_per_hour = 7

[agents."the ada"]
unresolved = 0

[agents.bob]
"""


def test_every_key_is_written_and_what_has_no_limit_is_left_out() -> None:
    assert as_toml(document(UNUSUAL)) == TEXT
    assert document(parse_policy(TEXT)) == document(UNUSUAL)


def test_the_built_in_policy_is_written_with_trust_on_first_use_and_no_empty_tables() -> None:
    written = document(parse_policy(BUILT_IN))
    assert list(written) == ["version", "caps", "approval", "price", "studio", "rails"]
    assert written["studio"] == {"pay_to": "first-use"}
    assert written["approval"] == {"above": "1.50", "expires": "15m"}


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(172_800, "2d"), (90_000, "25h"), (7_200, "2h"), (5_400, "90m"), (60, "1m"), (61, "61s"), (86_399, "86399s")],
)
def test_a_time_is_written_in_the_longest_unit_that_leaves_no_rest(seconds: int, written: str) -> None:
    assert document(policy(approval_expires=seconds))["approval"] == {"above": "1.50", "expires": written}
