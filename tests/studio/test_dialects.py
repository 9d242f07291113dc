from dataclasses import replace
from typing import Any

import pytest

from seedance_mcp.errors import InvalidArgument, StudioUnavailable
from seedance_mcp.studio.dialects import build_body, check_body, read_dialect
from seedance_mcp.studio.models import ClipRequest
from tests.studio.schemas import FIRST, RATIOS, SECOND, changed

IMAGE, LAST = "https://images.example/a.png", "https://images.example/b.png"
REQUEST = ClipRequest(model="seedance", prompt="a fox runs", image=IMAGE)


def test_the_first_generation_is_known_by_its_field_names() -> None:
    dialect = read_dialect(FIRST)
    assert dialect.generation == 1
    assert dialect.durations == tuple(range(4, 13))
    assert dialect.resolutions == ("480p", "720p", "1080p")
    assert dialect.aspect_ratios == tuple(RATIOS)


def test_the_second_generation_is_known_by_its_field_names_and_lists_values_by_const() -> None:
    dialect = read_dialect(SECOND)
    assert dialect.generation == 2
    assert dialect.durations == tuple(range(4, 16))
    assert dialect.aspect_ratios == tuple(RATIOS)


def test_a_first_generation_body_says_numbers_as_strings_and_has_every_default() -> None:
    dialect = read_dialect(FIRST)
    body = build_body(REQUEST, dialect)
    assert body == {
        "prompt": "a fox runs",
        "image": IMAGE,
        "duration": "5",
        "resolution": "720p",
        "aspect_ratio": "16:9",
        "generate_audio": False,
        "camera_fixed": False,
    }
    assert check_body(body, dialect) == []


def test_a_first_generation_body_carries_every_option() -> None:
    request = replace(REQUEST, last_image=LAST, duration=12, generate_audio=True, camera_fixed=True, seed=7)
    dialect = read_dialect(FIRST)
    body = build_body(request, dialect)
    assert (body["last_image"], body["duration"]) == (LAST, "12")
    assert (body["generate_audio"], body["camera_fixed"], body["seed"]) == (True, True, 7)
    assert check_body(body, dialect) == []


def test_a_second_generation_body_puts_the_frames_into_urls_in_keyframe_mode() -> None:
    dialect = read_dialect(SECOND)
    body = build_body(replace(REQUEST, last_image=LAST, duration=15), dialect)
    assert body == {
        "prompt": "a fox runs",
        "urls": [IMAGE, LAST],
        "mode": "keyframe",
        "duration": "15",
        "outputResolution": "720p",
        "aspectRatio": "16:9",
    }
    assert check_body(body, dialect) == []


def test_media_types_are_sent_only_when_they_are_required() -> None:
    required = {**SECOND, "required": [*SECOND["required"], "urlMediaTypes"]}
    body = build_body(replace(REQUEST, last_image=LAST), read_dialect(required))
    assert body["urlMediaTypes"] == ["image", "image"]


def test_a_second_generation_that_still_says_image_is_served_too() -> None:
    schema = changed(SECOND, urls=None, mode=None, urlMediaTypes=None, image={"type": "string"})
    dialect = read_dialect(schema)
    body = build_body(REQUEST, dialect)
    assert body["image"] == IMAGE
    assert check_body(body, dialect) == []
    with pytest.raises(InvalidArgument, match="last_image"):
        build_body(replace(REQUEST, last_image=LAST), dialect)


@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        ({"type": "integer", "minimum": 4, "maximum": 12}, 5),
        ({"type": "integer", "enum": [5, 10]}, 5),
        ({"oneOf": [{"type": "string", "enum": ["5", "10"]}, {"type": "null"}]}, "5"),
        ({"anyOf": [{"const": 5}, {"const": 10}]}, 5),
    ],
)
def test_a_duration_is_written_as_the_schema_writes_it(schema: dict[str, Any], sent: object) -> None:
    dialect = read_dialect(changed(FIRST, duration=schema))
    body = build_body(REQUEST, dialect)
    assert 5 in dialect.durations
    assert (body["duration"], type(body["duration"])) == (sent, type(sent))
    assert check_body(body, dialect) == []


def test_of_a_union_the_keyframe_variant_is_taken() -> None:
    reference = changed(SECOND, mode={"const": "reference"}, urls=None, image={"type": "string"})
    keyframe = changed(SECOND, mode={"const": "keyframe"})
    dialect = read_dialect({"oneOf": [reference, keyframe]})
    assert check_body(build_body(REQUEST, dialect), dialect) == []


@pytest.mark.parametrize(
    ("changes", "argument", "allowed"),
    [
        ({"duration": 13}, "duration 13", "4, 5, 6"),
        ({"resolution": "4k"}, "resolution 4k", "480p, 720p, 1080p"),
        ({"aspect_ratio": "auto"}, "aspect_ratio auto", "16:9"),
    ],
)
def test_a_value_that_is_not_on_offer_is_refused_by_name(changes: dict[str, Any], argument: str, allowed: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        build_body(replace(REQUEST, **changes), read_dialect(FIRST))
    assert argument in refusal.value.what
    assert allowed in refusal.value.what
    assert "Nothing was charged." in str(refusal.value)


@pytest.mark.parametrize("changes", [{"generate_audio": False}, {"camera_fixed": True}, {"seed": 0}])
def test_an_option_that_the_generation_lacks_is_refused_by_name(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match=next(iter(changes))):
        build_body(replace(REQUEST, **changes), read_dialect(SECOND))


@pytest.mark.parametrize("changes", [{"generate_audio": True}, {"camera_fixed": False}])
def test_an_option_that_asks_for_what_happens_anyway_is_left_out(changes: dict[str, Any]) -> None:
    dialect = read_dialect(SECOND)
    assert build_body(replace(REQUEST, **changes), dialect) == build_body(REQUEST, dialect)


def test_what_the_schema_finds_wrong_is_told_without_repeating_a_long_value() -> None:
    dialect = read_dialect(FIRST)
    body = build_body(replace(REQUEST, prompt="x" * 2001), dialect) | {"cheap": True}
    problems = check_body(body, dialect)
    assert any(problem.startswith("prompt: the value given is too long") for problem in problems)
    assert any("cheap" in problem for problem in problems)
    assert all(len(problem) < 400 for problem in problems)


@pytest.mark.parametrize(
    "schema",
    [
        None,
        {},
        {"type": "object", "properties": {"prompt": {"type": "string"}}},
        changed(FIRST, image=None),
        changed(FIRST, duration={"type": "string"}),
        changed(FIRST, image={"type": 12}),
        {**FIRST, "properties": "none"},
    ],
)
def test_a_schema_of_neither_generation_is_an_outage(schema: dict[str, Any] | None) -> None:
    with pytest.raises(StudioUnavailable) as problem:
        read_dialect(schema)
    assert problem.value.code == "unknown_schema"


def test_references_and_patterns_of_the_seller_are_never_followed() -> None:
    hostile = {"type": "string", "pattern": "(a+)+$", "$ref": "https://169.254.169.254/schema"}
    dialect = read_dialect(changed(FIRST, prompt=hostile))
    body = build_body(replace(REQUEST, prompt="a" * 60 + "!"), dialect)
    assert check_body(body, dialect) == []
