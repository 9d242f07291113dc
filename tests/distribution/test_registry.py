"""``server.json``: what the registry of MCP servers knows of this one.

The rules are those of the schema of 2025-12-11 that the file names, as far as they concern what is used here.
"""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from seedance_mcp import __version__, settings

ROOT = Path(__file__).parents[2]
INPUT = {"name", "description", "format", "isRequired", "isSecret", "default", "placeholder", "value", "choices"}


@pytest.fixture
def server() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((ROOT / "server.json").read_text())
    return document


@pytest.fixture
def package(server: dict[str, Any]) -> dict[str, Any]:
    (package,) = server["packages"]
    assert isinstance(package, dict)
    return package


def test_it_names_the_schema_and_keeps_its_limits(server: dict[str, Any]) -> None:
    assert server["$schema"] == "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", server["name"])
    assert 1 <= len(server["description"]) <= 100
    assert 1 <= len(server["title"]) <= 100
    assert set(server) == {"$schema", "name", "title", "description", "version", "packages"}


def test_its_versions_are_the_packages(server: dict[str, Any], package: dict[str, Any]) -> None:
    assert server["version"] == package["version"] == __version__


def test_its_package_is_ours_and_is_run_by_uvx_over_stdio(package: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (package["registryType"], package["identifier"]) == ("pypi", project["name"])
    assert package["identifier"] in project["scripts"], "uvx starts the command that is called like the package"
    assert (package["runtimeHint"], package["transport"]) == ("uvx", {"type": "stdio"})
    assert package["packageArguments"] == [{"type": "positional", "value": "serve"}]


def test_its_variables_are_settings_of_this_server(package: dict[str, Any]) -> None:
    source = Path(settings.__file__).read_text()
    for variable in package["environmentVariables"]:
        assert set(variable) <= INPUT
        assert variable.get("format", "string") in {"string", "number", "boolean", "filepath"}
        assert variable["description"]
        name = variable["name"].removeprefix("SEEDANCE_")
        assert f'"{name}"' in source or f'"SEEDANCE_{name}"' in source, name


def test_only_the_key_is_a_secret(package: dict[str, Any]) -> None:
    secrets = [variable["name"] for variable in package["environmentVariables"] if variable.get("isSecret")]
    assert secrets == ["SEEDANCE_PRIVATE_KEY"]
