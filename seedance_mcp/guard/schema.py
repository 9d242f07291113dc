"""The JSON Schema of a policy file, for editors. Made of the very table that the file is read with."""

from collections.abc import Mapping
from typing import Any

from seedance_mcp.guard.keys import CAPS, MODELS, REQUIRED, TABLES
from seedance_mcp.guard.values import VERSION, Value

_ABOUT = {
    "caps": "Limits over the whole wallet, all rails together. Windows are rolling ones.",
    "approval": "When a human is asked.",
    "price": "How far prices may be off.",
    "studio": "The seller.",
    "rails": "How payments are made.",
}


def policy_schema() -> Mapping[str, object]:
    """JSON Schema 2020-12: it accepts what the file may hold, and nothing else."""
    tables = {name: {**_table(values), "description": _ABOUT[name]} for name, values in TABLES.items()}
    tables["caps"]["required"] = list(REQUIRED)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Spending policy of seedance-mcp",
        "type": "object",
        "properties": {
            "version": dict(VERSION.schema),
            **tables,
            "models": {
                "type": "object",
                "description": "Limits on one model each. Uploads are the model `upload`.",
                "properties": {name: {"$ref": "#/$defs/caps"} for name in MODELS},
                "additionalProperties": False,
            },
            "agents": {
                "type": "object",
                "description": "Limits on one agent each.",
                "additionalProperties": {"$ref": "#/$defs/caps"},
            },
        },
        "required": ["version", "caps"],
        "additionalProperties": False,
        "$defs": {"caps": _table(CAPS)},
    }


def _table(values: Mapping[str, Value[Any]]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {key: dict(value.schema) for key, value in values.items()},
        "additionalProperties": False,
    }
