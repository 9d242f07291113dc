import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from seedance_mcp.guard.values import DURATION, ORDER, RECIPIENTS, SHARE, USD, VALIDITY, VERSION, Value
from tests.guard.examples import OTHER, PAY_TO

MEANT: list[tuple[Value[Any], object, object]] = [
    (VERSION, 1, 1),
    (USD, "0", 0),
    (USD, "2.50", 2_500_000),
    (SHARE, "0.25", 250_000),
    (DURATION, "90s", 90),
    (DURATION, "15m", 15 * 60),
    (DURATION, "2h", 2 * 60 * 60),
    (DURATION, "3d", 3 * 24 * 60 * 60),
    (VALIDITY, "30s", 30),
    (VALIDITY, "300s", 300),
    (VALIDITY, "1m", 60),
    (VALIDITY, "5m", 300),
    (RECIPIENTS, "first-use", ()),
    (RECIPIENTS, [PAY_TO], (PAY_TO,)),
    (RECIPIENTS, [PAY_TO.lower(), OTHER], (PAY_TO.lower(), OTHER)),
    (ORDER, ["mpp"], ("mpp",)),
    (ORDER, ["mpp", "x402"], ("mpp", "x402")),
]
REFUSED: list[tuple[Value[Any], list[object]]] = [
    (VERSION, [0, 2, "1", None]),
    (USD, [1, "1 USD", "-1", "0.1234567", ["1"]]),
    (SHARE, [1, "25%", "-1", "0.1234567", ["1"]]),
    (DURATION, ["15", "m", "0s", "015m", "9999999s", "15M", 15, ["15m"]]),
    (VALIDITY, ["29s", "301s", "6m", "1h", 60, ["60s"]]),
    (RECIPIENTS, ["", "anyone", PAY_TO, [], [PAY_TO[:-1]], [PAY_TO, "first-use"], [1], {}, {PAY_TO: 1}, 1]),
    (ORDER, ["x402", [], ["cash"], ["x402", "cash"], ["x402", "x402"], [["x402"]], {}, {"x402": 1}, 1]),
]


@pytest.mark.parametrize(("kind", "written", "meant"), MEANT)
def test_a_value_is_read_as_what_it_means_and_an_editor_takes_it(
    kind: Value[Any], written: object, meant: object
) -> None:
    assert kind.read(written) == meant
    assert Draft202012Validator(kind.schema).is_valid(written)


@pytest.mark.parametrize(("kind", "written"), [(kind, value) for kind, values in REFUSED for value in values])
def test_what_cannot_be_meant_is_refused_and_an_editor_marks_it(kind: Value[Any], written: object) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(written)) + " is (not|neither|out of range)|is not an amount"):
        kind.read(written)
    assert not Draft202012Validator(kind.schema).is_valid(written)
