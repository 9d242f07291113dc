from typing import Any

import pytest

from seedance_mcp.studio.dialects import maximum_from_openapi, read_dialect, schema_from_challenge, schema_from_openapi
from seedance_mcp.studio.schemas import plain_schema
from tests.studio.schemas import FIRST, SECOND, openapi


def test_a_challenge_carries_the_schema_of_the_body() -> None:
    extension = {"schema": {"properties": {"input": {"properties": {"body": SECOND}}}}}
    schema = schema_from_challenge({"bazaar": extension})
    assert schema is not None
    assert read_dialect(schema).generation == 2


@pytest.mark.parametrize("extensions", [{}, {"bazaar": None}, {"bazaar": {"schema": {"properties": []}}}])
def test_a_challenge_without_a_schema_has_none(extensions: dict[str, Any]) -> None:
    assert schema_from_challenge(extensions) is None


def test_the_openapi_document_is_read_through_its_local_references() -> None:
    schema = schema_from_openapi(openapi(FIRST), "seedance")
    assert schema is not None
    assert read_dialect(schema).generation == 1


@pytest.mark.parametrize(
    "document", [None, [], {}, {"paths": {"/api/generate/seedance/i2v": {"post": 3}}}, openapi({})]
)
def test_a_document_that_does_not_describe_the_route_has_no_schema(document: object) -> None:
    assert schema_from_openapi(document, "seedance") is None


def test_references_in_a_circle_and_bombs_of_references_end() -> None:
    bomb = {f"d{n}": {"properties": {f"p{k}": {"$ref": f"#/d{n + 1}"} for k in range(10)}} for n in range(30)}
    assert plain_schema({"$ref": "#/d0"}, bomb)
    circle: dict[str, Any] = {"a": {"$ref": "#/b"}, "b": {"$ref": "#/a"}}
    assert plain_schema({"$ref": "#/a"}, circle) == {}


def test_nullable_in_the_manner_of_openapi_3_0_is_understood() -> None:
    assert plain_schema({"type": "string", "nullable": True}) == {"type": ["string", "null"]}


@pytest.mark.parametrize(
    ("maximum", "read"), [("0.99", "0.99"), ("$0.99", "0.99"), (1, "1"), (None, None), ("1e3", None), ("cheap", None)]
)
def test_the_advertised_maximum_is_a_decimal_string_or_nothing(maximum: object, read: str | None) -> None:
    assert maximum_from_openapi(openapi(FIRST, maximum=maximum), "seedance") == read
