"""One clip request in the words of either API generation, as the live JSON Schema has them.

Two generations of the body live behind the same URLs and both reject unknown fields, so nothing is assumed here that
the schema can tell: field names, the values on offer, whether a number is written as a string.
"""

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError

from seedance_mcp.errors import InvalidArgument, StudioUnavailable
from seedance_mcp.studio.models import ClipRequest, seller_words
from seedance_mcp.studio.schemas import (
    choices,
    maximum_from_openapi,
    plain_schema,
    schema_from_challenge,
    schema_from_openapi,
)

__all__ = [
    "Dialect",
    "build_body",
    "check_body",
    "maximum_from_openapi",
    "read_dialect",
    "schema_from_challenge",
    "schema_from_openapi",
]

_DURATION = re.compile(r"[1-9][0-9]?", re.ASCII)
_RESOLUTION = re.compile(r"[0-9]{1,5}[pk]", re.ASCII)
_RATIO = re.compile(r"[1-9][0-9]{0,2}:[1-9][0-9]{0,2}", re.ASCII)
_UNKNOWN = object()


@dataclass(frozen=True, slots=True)
class Dialect:
    """What the seller takes for one model: the body's schema, durations in seconds, and the other values on offer."""

    generation: int
    schema: Mapping[str, object]
    durations: tuple[int, ...]
    resolutions: tuple[str, ...]
    aspect_ratios: tuple[str, ...]

    @property
    def properties(self) -> Mapping[str, Mapping[str, object]]:
        return _properties(self.schema)

    def field(self, *names: str) -> str | None:
        """The one of ``names`` that the body has."""
        return next((name for name in names if name in self.properties), None)


def read_dialect(schema: Mapping[str, object] | None) -> Dialect:
    """The dialect of a live schema. Raises StudioUnavailable (``unknown_schema``) when it is of neither generation."""
    shape = _shape(plain_schema(schema))
    fields = _properties(shape)
    second = not fields.keys().isdisjoint({"outputResolution", "aspectRatio", "urls"})
    duration, resolution, aspect = (
        [str(value) for value in choices(fields.get(name, {})) if pattern.fullmatch(str(value))]
        for name, pattern in (
            ("duration", _DURATION),
            ("outputResolution" if second else "resolution", _RESOLUTION),
            ("aspectRatio" if second else "aspect_ratio", _RATIO),
        )
    )
    if fields.keys().isdisjoint({"urls", "image"}) or not (duration and resolution and aspect and _is_valid(shape)):
        raise StudioUnavailable(
            "StableStudio's API takes a body of a form that this version does not know",
            next="Tell the operator that seedance-mcp needs an update; prices from the table still hold.",
            code="unknown_schema",
        )
    return Dialect(
        generation=2 if second else 1,
        schema=shape,
        durations=tuple(sorted({int(value) for value in duration})),
        resolutions=tuple(dict.fromkeys(resolution)),
        aspect_ratios=tuple(dict.fromkeys(aspect)),
    )


def build_body(request: ClipRequest, dialect: Dialect) -> dict[str, object]:
    """The request's body, with the schema's defaults for what the request leaves open.

    Raises InvalidArgument for a value that is not on offer, and for an argument that the generation lacks, unless it
    asks for what the generation does anyway.
    """
    body: dict[str, object] = {"prompt": request.prompt}
    for argument, given, offered, names in (
        ("duration", request.duration, dialect.durations, ("duration",)),
        ("resolution", request.resolution, dialect.resolutions, ("outputResolution", "resolution")),
        ("aspect_ratio", request.aspect_ratio, dialect.aspect_ratios, ("aspectRatio", "aspect_ratio")),
    ):
        _offered(argument, given, offered, request.model)
        if name := dialect.field(*names):
            body[name] = _fitting(dialect.properties[name], str(given), given)
    body |= _images(request, dialect)
    body |= _extras(request, dialect)
    for name, schema in dialect.properties.items():
        if name not in body and "default" in schema:
            body[name] = deepcopy(schema["default"])
    return body


def check_body(body: Mapping[str, object], dialect: Dialect) -> list[str]:
    """What the live schema finds wrong with ``body``, one sentence each; empty if nothing."""
    return [_problem(error) for error in _validator(dialect.schema).iter_errors(dict(body))]


def _images(request: ClipRequest, dialect: Dialect) -> dict[str, object]:
    required = dialect.schema.get("required")
    required = required if isinstance(required, list) else []
    if dialect.field("urls") and ("urls" in required or "image" not in required):
        urls = [url for url in (request.image, request.last_image) if url is not None]
        body: dict[str, object] = {"urls": urls}
        if dialect.field("mode"):
            body["mode"] = "keyframe"
        if "urlMediaTypes" in required:
            body["urlMediaTypes"] = ["image"] * len(urls)
        return body
    body = {"image": request.image}
    if "keyframe" in choices(dialect.properties.get("mode", {})):
        body["mode"] = "keyframe"
    if request.last_image is not None:
        name = dialect.field("last_image", "lastImage")
        if name is None:
            raise _lacking("last_image", "an URL", request.model)
        body[name] = request.last_image
    return body


def _extras(request: ClipRequest, dialect: Dialect) -> dict[str, object]:
    body: dict[str, object] = {}
    native_audio = True if dialect.generation == 2 else _UNKNOWN
    for argument, given, does_anyway, other_name in (
        ("generate_audio", request.generate_audio, native_audio, "generateAudio"),
        ("camera_fixed", request.camera_fixed, False, "cameraFixed"),
        ("seed", request.seed, _UNKNOWN, "seed"),
    ):
        if given is None:
            continue
        name = dialect.field(argument, other_name)
        if name:
            body[name] = _fitting(dialect.properties[name], given, str(given).lower())
        elif given is not does_anyway:
            raise _lacking(argument, str(given).lower(), request.model)
    return body


def _offered(argument: str, given: object, offered: tuple[object, ...], model: str) -> None:
    if given not in offered:
        listed = ", ".join(map(str, offered))
        raise InvalidArgument(
            f"{argument} {seller_words(str(given), 40)} is not on offer for {model}: it takes {listed}",
            next=f"Call again with one of these values for {argument}.",
        )


def _lacking(argument: str, given: str, model: str) -> InvalidArgument:
    return InvalidArgument(
        f"{argument} {given} cannot be asked for: the live API of {model} has no such option",
        next=f"Call again without {argument}.",
    )


def _fitting(schema: Mapping[str, object], *spellings: object) -> object:
    """The first of ``spellings`` that the property takes; the schema says whether a number is a string."""
    return next((value for value in spellings if _validator(schema).is_valid(value)), spellings[0])


def _shape(schema: Mapping[str, object]) -> Mapping[str, object]:
    """The object to fill in: of a union, the variant with the keyframe mode, else the first with properties."""
    variants = [
        branch
        for name in ("anyOf", "oneOf")
        for branch in _list(schema.get(name))
        if isinstance(branch, dict) and _properties(branch)
    ]
    if _properties(schema) or not variants:
        return schema
    keyframe = (branch for branch in variants if "keyframe" in choices(_properties(branch).get("mode", {})))
    return next(keyframe, variants[0])


def _properties(schema: Mapping[str, object]) -> Mapping[str, Mapping[str, object]]:
    properties = schema.get("properties")
    return properties if isinstance(properties, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _validator(schema: Mapping[str, object]) -> Draft202012Validator:
    return Draft202012Validator(dict(schema))


def _is_valid(schema: Mapping[str, object]) -> bool:
    try:
        Draft202012Validator.check_schema(dict(schema))
    except SchemaError:
        return False
    return True


def _problem(error: ValidationError) -> str:
    where = ".".join(str(step) for step in error.absolute_path) or "the body"
    value = repr(error.instance)
    message = error.message.replace(value, "the value given") if len(value) > 60 else error.message
    return f"{where}: {seller_words(message)}"
