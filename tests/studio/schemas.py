"""Live schemas as the two API generations publish them: every enum a string, defaults listed as required."""

import copy
from typing import Any

RATIOS = ["16:9", "9:16", "4:3", "3:4", "1:1", "21:9"]

FIRST: dict[str, Any] = {
    "type": "object",
    "properties": {
        "prompt": {"type": "string", "minLength": 1, "maxLength": 2000},
        "image": {"type": "string", "format": "uri"},
        "last_image": {"type": "string", "format": "uri"},
        "duration": {"type": "string", "enum": [str(n) for n in range(4, 13)], "default": "5"},
        "resolution": {"type": "string", "enum": ["480p", "720p", "1080p"], "default": "720p"},
        "aspect_ratio": {"type": "string", "enum": RATIOS, "default": "16:9"},
        "generate_audio": {"type": "boolean", "default": False},
        "camera_fixed": {"type": "boolean", "default": False},
        "seed": {"type": "integer"},
    },
    "required": ["prompt", "image", "duration", "resolution", "aspect_ratio", "generate_audio", "camera_fixed"],
    "additionalProperties": False,
}

SECOND: dict[str, Any] = {
    "type": "object",
    "properties": {
        "prompt": {"type": "string", "minLength": 1, "maxLength": 2000},
        "urls": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 12},
        "mode": {"type": "string", "enum": ["keyframe", "reference"], "default": "reference"},
        "urlMediaTypes": {"type": "array", "items": {"enum": ["image", "video"]}},
        "duration": {"anyOf": [{"const": str(n)} for n in range(4, 16)], "default": "5"},
        "outputResolution": {"type": "string", "enum": ["480p", "720p", "1080p"], "default": "720p"},
        "upscaleResolution": {"type": "string", "enum": ["4k"]},
        "aspectRatio": {"type": "string", "enum": ["auto", *RATIOS], "default": "16:9"},
        "audioUrls": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
    },
    "required": ["prompt", "urls", "mode", "duration", "outputResolution", "aspectRatio"],
    "additionalProperties": False,
}


def changed(schema: dict[str, Any], **properties: Any) -> dict[str, Any]:
    """A copy with other properties; None takes one away."""
    copied = copy.deepcopy(schema)
    for name, value in properties.items():
        copied["properties"].pop(name, None)
        if value is None:
            copied["required"] = [other for other in copied["required"] if other != name]
        else:
            copied["properties"][name] = value
    return copied


def openapi(schema: dict[str, Any], model: str = "seedance", maximum: object = "0.99") -> dict[str, Any]:
    """A document whose body schema stands behind a reference."""
    operation = {
        "x-payment-info": {"price": {"mode": "dynamic", "min": "0.33", "max": maximum}},
        "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Clip~1Body"}}}},
    }
    return {
        "openapi": "3.1.0",
        "paths": {f"/api/generate/{model}/i2v": {"post": operation}},
        "components": {"schemas": {"Clip/Body": schema}},
    }
