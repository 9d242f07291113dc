import tomllib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from seedance_mcp.errors import InvalidPolicy
from seedance_mcp.guard.document import as_toml, document
from seedance_mcp.guard.keys import CAPS, MODELS, REQUIRED, TABLES
from seedance_mcp.guard.policy import BUILT_IN, Policy, parse_policy
from seedance_mcp.guard.schema import policy_schema
from tests.guard.examples import OTHER, PAY_TO
from tests.guard.strategies import policies

SCHEMA = Draft202012Validator(policy_schema())

values = st.sampled_from(
    [
        "1", "0", "0.25", "2.50", "01", "1.", ".5", "-1", "1e3", "999999999", "1000000000", "0.1234567", " 1", "",
        0, 1, 2, 3, 9, 10, -1, 1_000_000, 1_000_001, True,
        "30s", "29s", "300s", "301s", "1m", "5m", "6m", "15m", "0m", "1h", "2d", "9999999s", "15",
        "first-use", "anyone", [], [PAY_TO], [PAY_TO, OTHER], [PAY_TO[:-1]], PAY_TO, ["x402"], ["mpp", "x402"],
        ["x402", "x402"], ["cash"], [["x402"]], {},
    ]
)  # fmt: skip


def tables(*keys: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from([*keys, "nonsense"]), values, max_size=2)


def smallest(**more: Any) -> dict[str, Any]:
    return {"version": 1, "caps": {"per_payment": "1", "per_hour": "2", "per_day": "3"}, **more}


caps = tables(*CAPS)
documents = st.one_of(
    caps.map(lambda some: smallest(caps={**smallest()["caps"], **some})),
    st.sampled_from(sorted(TABLES)).flatmap(
        lambda name: tables(*TABLES[name]).map(lambda some: smallest(**{name: some}))
    ),
    st.dictionaries(st.sampled_from([*MODELS, "seedence"]), caps, max_size=2).map(lambda some: smallest(models=some)),
    st.dictionaries(st.sampled_from(["ada", "the ada"]), caps, max_size=2).map(lambda some: smallest(agents=some)),
    st.tuples(st.sampled_from(["version", "caps", "models", "agents", "rails", "x"]), values).map(
        lambda one: smallest(**{one[0]: one[1]})
    ),
    st.sampled_from(["version", "caps"]).map(lambda name: {k: v for k, v in smallest().items() if k != name}),
)


def is_policy(text: str) -> bool:
    try:
        parse_policy(text)
    except InvalidPolicy:
        return False
    return True


def test_it_is_a_schema_and_every_key_is_described() -> None:
    schema: dict[str, Any] = dict(policy_schema())
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    assert schema["title"] == "Spending policy of seedance-mcp"
    for values in TABLES.values():
        assert all("description" in value.schema for value in values.values())
    tables = {name: table for name, table in schema["properties"].items() if name != "version"}
    assert [name for name, table in tables.items() if not table.get("description")] == []
    assert tables.keys() == {*TABLES, "models", "agents"}


@given(documents)
def test_the_schema_and_the_parser_agree(written: dict[str, Any]) -> None:
    text = as_toml(written)
    assert tomllib.loads(text) == written
    assert SCHEMA.is_valid(written) == is_policy(text)


@pytest.mark.parametrize("count", [-1, 0, 9, 10, 1_000_000, 1_000_001])
def test_they_agree_about_the_least_and_the_most(count: int) -> None:
    for written in (smallest(rails={"rpc_agree": count}), smallest(agents={"ada": {"unresolved": count}})):
        assert SCHEMA.is_valid(written) == is_policy(as_toml(written))


@pytest.mark.parametrize(
    "written",
    [
        smallest(models={"seedence": {}}),
        smallest(models={"upload": {"per_year": "1"}}),
        smallest(models=[]),
        smallest(agents={"ada": {"per_year": "1"}}),
        smallest(agents={"ada": "1"}),
        smallest(agents=[]),
        smallest(rails={"per_day": "1"}),
        smallest(rails=[]),
        smallest(nonsense={}),
    ],
)
def test_they_agree_that_a_key_is_wrong_or_not_a_table(written: dict[str, Any]) -> None:
    assert not SCHEMA.is_valid(written)
    assert not is_policy(as_toml(written))


def test_only_a_table_is_a_policy() -> None:
    assert SCHEMA.is_valid(smallest())
    others: list[object] = [[], "version = 1", 1, None]
    assert not any(SCHEMA.is_valid(other) for other in others)


@given(policies())
def test_a_policy_that_is_written_out_is_read_again_as_the_same_one(rules: Policy) -> None:
    required = {name: getattr(rules.caps, name) or 0 for name in REQUIRED}
    rules = replace(rules, caps=replace(rules.caps, **required))
    written = document(rules)
    assert SCHEMA.is_valid(written)
    read = parse_policy(as_toml(written))
    assert {**as_fields(read), "digest": rules.digest} == as_fields(rules)


@pytest.mark.parametrize("name", ["ada", "the ada", 'a "quoted" one', "ä\x7f\t\\", "", "a.b", "🎬"])
def test_any_name_of_an_agent_is_written_so_that_it_is_read_again(name: str) -> None:
    assert tomllib.loads(as_toml({"agents": {name: {"total": name}}})) == {"agents": {name: {"total": name}}}


def test_what_is_left_out_is_filled_in() -> None:
    read = parse_policy(BUILT_IN)
    shorter = BUILT_IN.partition("[price]")[0]
    assert document(parse_policy(shorter)) == document(read)


def as_fields(rules: Policy) -> dict[str, Any]:
    return {name: getattr(rules, name) for name in Policy.__dataclass_fields__}
