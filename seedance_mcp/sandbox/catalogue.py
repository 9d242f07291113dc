"""What is for sale: JSON Schemas and prices of both generations of the request body, and the published documents."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator

from seedance_mcp.money import USD, usd
from seedance_mcp.sandbox.rails import RailName
from seedance_mcp.sandbox.tempo import USDC_E

Schema = dict[str, Any]
Body = dict[str, Any]

MODELS = ("seedance", "seedance-fast")
ASPECT_RATIOS = ["16:9", "9:16", "4:3", "3:4", "1:1", "21:9"]
UPLOAD_PRICE = 10_000
IMAGE_TYPES = ["image/jpeg", "image/jpg", "image/png", "image/gif", "image/webp"]

ROUTE_MAXIMA = {1: 10 * USD, 2: 20 * USD}
"""What a body that fails the schema is quoted, by generation."""

PER_SECOND: dict[int, dict[str, dict[str, int]]] = {
    1: {
        "seedance": {"480p": 82_500, "720p": 82_500, "1080p": 82_500},
        "seedance-fast": {"480p": 10_000, "720p": 10_000, "1080p": 10_000},
    },
    2: {
        "seedance": {"480p": 90_000, "720p": 240_000, "1080p": 540_000},
        "seedance-fast": {"480p": 80_000, "720p": 168_000},
    },
}
"""Micro-USD per second of clip, by generation, model and resolution."""


_PROTOCOLS: dict[RailName, dict[str, str]] = {
    "x402": {},
    "mpp": {"method": "tempo", "intent": "charge", "currency": USDC_E},
}
_WAYS: dict[RailName, str] = {"x402": "x402 (USDC on Base)", "mpp": "MPP (USDC.e on Tempo)"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ware:
    """A paid route. ``price`` takes a body that ``problems`` found nothing wrong with and gives micro-USD."""

    path: str
    type: str
    schema: Schema
    price: Callable[[Body], int]
    maximum: int
    minimum: int

    def completed(self, body: object) -> object:
        """``body`` with the schema's defaults filled in."""
        if not isinstance(body, dict):
            return body
        defaults = {name: field["default"] for name, field in self.schema["properties"].items() if "default" in field}
        return defaults | body

    def problems(self, body: object) -> list[dict[str, object]]:
        """The ``issues`` of a validation error, empty for a valid completed body."""
        errors = Draft202012Validator(self.schema).iter_errors(body)
        return [{"path": list(error.absolute_path), "message": error.message} for error in errors]

    def bazaar(self) -> dict[str, object]:
        """The discovery extension of x402, whose schema carries that of the body."""
        properties = {
            "type": {"type": "string", "const": "http"},
            "method": {"type": "string", "enum": ["POST"]},
            "bodyType": {"type": "string", "enum": ["json"]},
            "body": self.schema,
        }
        request = {"type": "object", "properties": properties, "required": ["type", "bodyType", "body"]}
        return {
            "info": {"input": {"type": "http", "method": "POST", "bodyType": "json", "body": {}}},
            "schema": {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "type": "object",
                "properties": {"input": request | {"additionalProperties": False}},
                "required": ["input"],
            },
        }


def wares(generation: int) -> list[Ware]:
    """The four clip routes of a generation. Raises ValueError unless it is 1 or 2."""
    if generation not in PER_SECOND:
        raise ValueError("the generation of the request body is 1 or 2")
    schema = {1: _first_generation, 2: _second_generation}[generation]
    return [
        _clips(generation, model, kind, schema(model, with_image=kind == "i2v"))
        for model in MODELS
        for kind in ("i2v", "t2v")
    ]


def _clips(generation: int, model: str, kind: str, schema: Schema) -> Ware:
    rates = PER_SECOND[generation][model]
    shortest = int(schema["properties"]["duration"]["enum"][0])
    return Ware(
        path=f"/api/generate/{model}/{kind}",
        type=f"{model}-{kind}",
        schema=schema,
        price=lambda body: rates[resolution(body)] * int(body["duration"]),
        maximum=ROUTE_MAXIMA[generation],
        minimum=shortest * min(rates.values()),
    )


def resolution(body: Mapping[str, str]) -> str:
    return body["outputResolution"] if "outputResolution" in body else body["resolution"]


def aspect_ratio(body: Mapping[str, str]) -> str:
    return body["aspectRatio"] if "aspectRatio" in body else body["aspect_ratio"]


def images(body: Mapping[str, Any]) -> list[str]:
    """URLs of the first and the last frame, as far as the body names them."""
    if "urls" in body:
        return list(body["urls"][:2])
    return [body[name] for name in ("image", "last_image") if name in body]


def _enum(values: list[str], default: str) -> Schema:
    return {"type": "string", "enum": values, "default": default}


def _seconds(longest: int) -> Schema:
    return _enum([str(seconds) for seconds in range(4, longest + 1)], "5")


def _url() -> Schema:
    return {"type": "string", "format": "uri", "pattern": "^https?://[^\\s]+$"}


def _prompt() -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": 5000}


def _strict(properties: Schema, required: list[str]) -> Schema:
    """An object schema as the live service prints it: a field with a default is listed as required too."""
    defaulted = [name for name, field in properties.items() if "default" in field]
    return {
        "type": "object",
        "properties": properties,
        "required": required + defaulted,
        "additionalProperties": False,
    }


def _first_generation(_model: str, *, with_image: bool) -> Schema:
    frames = {"image": _url(), "last_image": _url()} if with_image else {}
    properties = {"prompt": _prompt()} | frames
    properties |= {
        "duration": _seconds(12),
        "resolution": _enum(["480p", "720p", "1080p"], "720p"),
        "aspect_ratio": _enum(ASPECT_RATIOS, "16:9"),
        "generate_audio": {"type": "boolean", "default": True},
        "camera_fixed": {"type": "boolean", "default": False},
        "seed": {"type": "integer"},
    }
    return _strict(properties, ["prompt", "image"] if with_image else ["prompt"])


def _second_generation(model: str, *, with_image: bool) -> Schema:
    frames: Schema = {}
    if with_image:
        kinds = {"type": "string", "enum": ["image", "video"]}
        frames = {
            "urls": {"type": "array", "items": _url(), "minItems": 1, "maxItems": 12},
            "urlMediaTypes": {"type": "array", "items": kinds, "minItems": 1, "maxItems": 12},
            "mode": _enum(["keyframe"], "keyframe"),
        }
    properties = {"prompt": _prompt()} | frames
    properties |= {
        "audioUrls": {"type": "array", "items": _url(), "maxItems": 3},
        "duration": _seconds(15),
        "outputResolution": _enum(list(PER_SECOND[2][model]), "720p"),
        "upscaleResolution": {"type": "string", "enum": ["4k"]},  # its price is not published: none is added here
        "aspectRatio": _enum(ASPECT_RATIOS, "16:9"),
    }
    return _strict(properties, ["prompt", "urls"] if with_image else ["prompt"])


UPLOAD = Ware(
    path="/api/upload",
    type="upload",
    schema=_strict(
        {
            "filename": {"type": "string", "minLength": 1, "maxLength": 255},
            "contentType": {"type": "string", "enum": IMAGE_TYPES},
            "size": {"type": "integer", "minimum": 1},
        },
        ["filename", "contentType"],
    ),
    price=lambda _body: UPLOAD_PRICE,
    maximum=UPLOAD_PRICE,
    minimum=UPLOAD_PRICE,
)


def openapi(sold: list[Ware], origin: str, rails: Sequence[RailName]) -> dict[str, object]:
    """The published description. Like the live one it leaves out the path parameter of ``/api/jobs/{jobId}``."""
    paths: dict[str, object] = {ware.path: {"post": _operation(ware, rails)} for ware in sold}
    free = {"responses": {"200": {"description": "OK"}, "402": {"description": "Sign in required"}}}
    paths["/api/upload/confirm"] = {"post": free}
    paths["/api/jobs"] = {"get": free}
    paths["/api/jobs/{jobId}"] = {"get": free, "delete": free}
    return {
        "openapi": "3.1.0",
        "info": {"title": "StableStudio sandbox", "version": "1.0.0"},
        "servers": [{"url": origin}],
        "paths": paths,
    }


def _operation(ware: Ware, rails: Sequence[RailName]) -> dict[str, object]:
    if ware.minimum == ware.maximum:
        price = {"mode": "fixed", "currency": "USD", "amount": usd(ware.maximum)}
    else:
        price = {"mode": "dynamic", "currency": "USD", "min": usd(ware.minimum), "max": usd(ware.maximum)}
    return {
        "operationId": ware.type,
        "x-payment-info": {"price": price, "protocols": [{rail: _PROTOCOLS[rail]} for rail in rails]},
        "requestBody": {"required": True, "content": {"application/json": {"schema": ware.schema}}},
        "responses": {"200": {"description": "Accepted"}, "402": {"description": "Payment required"}},
    }


def llms_txt(sold: list[Ware], rails: Sequence[RailName]) -> str:
    ways = " or ".join(_WAYS[rail] for rail in rails)
    lines = [f"- POST {ware.path}: from ${usd(ware.minimum)}, {ways}" for ware in sold]
    return "\n".join(["# StableStudio sandbox", "", "No money moves here.", "", *lines, ""])
