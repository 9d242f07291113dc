"""What the documentation tells users to put into their clients: every block is read and its server started."""

import base64
import json
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from seedance_mcp.clients import Client as Written
from seedance_mcp.clients import Entry, known_clients, snippet
from seedance_mcp.settings import Settings
from tests.cli.shell import Shell

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "clients.md").read_text()
README = (ROOT / "README.md").read_text()
TOOLS = ["estimate_cost", "upload_image", "generate_video", "check_job"]
_BLOCK = re.compile(r"^```(json|toml|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?:https://cursor\.com|https://insiders\.vscode\.dev|cursor://|vscode:)[^\s)]*")
Config = dict[str, Any]


def blocks() -> Iterator[Config]:
    """The server of each configuration: ``command``, ``args`` and ``env``."""
    yield from servers(json.loads((ROOT / "mcp.json.example").read_text()))
    for language, text in _BLOCK.findall(PAGE):
        if language == "sh":
            yield from commands(text)
        else:
            yield from servers(json.loads(text) if language == "json" else tomllib.loads(text))


def servers(document: Mapping[str, Any]) -> list[Config]:
    (name,) = {"mcpServers", "servers", "mcp_servers"} & set(document)
    return list(document[name].values())


def commands(text: str) -> Iterator[Config]:
    """``claude mcp add NAME --env KEY=VALUE … -- COMMAND ARGS``, which Codex has alike."""
    for line in text.splitlines():
        words = shlex.split(line)
        assert words[1:4] == ["mcp", "add", "seedance"]
        options, (command, *args) = words[4 : words.index("--")], words[words.index("--") + 1 :]
        assert set(options[::2]) == {"--env"}
        yield {"command": command, "args": args, "env": dict(option.split("=", 1) for option in options[1::2])}


def links() -> list[Config]:
    return [of_link(link) for link in _LINK.findall(PAGE)]


def of_link(link: str) -> Config:
    """Cursor's configuration is base64, VS Code's is plain; VS Code's own link has the name in it.

    Sources: "MCP Install Links" in Cursor's documentation, "Add and manage MCP servers" in that of VS Code; the https
    forms are the two programs' own redirects, as the READMEs of the servers of Playwright and of GitHub carry
    them.
    """
    parts = urlsplit(link)
    if parts.scheme == "vscode":
        document = json.loads(unquote(parts.query))
        assert document.pop("name") == "seedance"
    else:
        query = parse_qs(parts.query, strict_parsing=True)
        assert query["name"] == ["seedance"]
        (text,) = query["config"]
        document = json.loads(base64.b64decode(text, validate=True) if "cursor" in link else text)
    assert isinstance(document, dict)
    return document


CONFIGS = list(blocks())
STARTED = [config for config in CONFIGS if config["command"] != "docker"]


def placed(config: Config, home: Path) -> dict[str, str]:
    """The environment of a configuration with the client's variables filled in, for a user who lives in ``home``."""
    known = {"${HOME}": str(home), "${userHome}": str(home), "${workspaceFolder}": str(home / "Pictures")}
    environment: dict[str, str] = {}
    for name, value in config.get("env", {}).items():
        for variable, filled in {**known, "/home/you": str(home)}.items():
            value = value.replace(variable, filled)  # noqa: PLW2901 - one after the other
        environment[name] = value
    return environment


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "Pictures").mkdir()
    return tmp_path


def test_the_readme_has_the_same_texts_for_the_same_clients() -> None:
    _, _, rest = README.partition("\n## Clients\n")
    texts, _, _ = rest.partition("\n## ")
    titles = ["Claude Desktop", "Claude Code", "Cursor", "VS Code", "Codex"]
    assert re.findall(r"<summary><b>(.+)</b></summary>", texts) == titles
    for title, text in zip(titles, re.split(r"<details>", texts)[1:], strict=True):
        _, _, here = PAGE.partition(f"\n## {title}\n")
        ((language, block),) = _BLOCK.findall(text)
        assert f"```{language}\n{block}```" in here.partition("\n## ")[0]
    assert len(_LINK.findall(texts)) == 2
    assert set(_LINK.findall(texts)) < set(_LINK.findall(PAGE))


@pytest.mark.parametrize("client", known_clients({"HOME": "/home/you"}, Path("/home/you"), "linux"))
def test_init_writes_the_entry_that_the_page_shows(client: Written) -> None:
    """But for what a client fills in by itself, and Codex's own time-outs, which it may do without."""
    _, _, rest = PAGE.partition(f"\n## {client.title.partition(',')[0]}\n")
    language = "toml" if client.is_toml else "json"
    text = next(text for found, text in _BLOCK.findall(rest.partition("\n## ")[0]) if found == language)
    shown = tomllib.loads(text) if client.is_toml else json.loads(text)
    (entry,) = shown[client.key].values()
    written = snippet(client, Entry("seedance", entry["command"], tuple(entry["args"]), entry["env"]))
    document = tomllib.loads(written) if client.is_toml else json.loads(written)
    own = {"startup_timeout_sec", "tool_timeout_sec"} if client.is_toml else set()
    assert document == {client.key: {"seedance": {key: entry[key] for key in entry if key not in own}}}


def test_every_client_has_its_block() -> None:
    assert len(CONFIGS) == 9
    assert [config["args"] for config in STARTED] == [["serve"]] * 8


@pytest.mark.parametrize("config", [*STARTED, *links()])
async def test_a_client_gets_the_tools(config: Config, home: Path) -> None:
    assert config["command"] == "seedance-mcp"
    arguments = [argument for argument in config["args"] if argument != "--sandbox"]
    server = StdioServerParameters(
        command=str(Path(sys.executable).parent / config["command"]),
        args=[*arguments, "--sandbox"],
        env=Shell(home).environment() | placed(config, home),
    )
    with (home / "stderr.txt").open("w") as log:
        async with Client(stdio_client(server, errlog=log), mode="legacy") as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == TOOLS
    assert (home / "stderr.txt").read_text() == ""


@pytest.mark.parametrize("config", STARTED)
def test_the_settings_are_the_servers_own(config: Config, home: Path) -> None:
    """A placeholder that no client fills is an error; what opens the wallet is found without being named."""
    environment = placed(config, home)
    settings = Settings.from_env(dict(environment))
    assert settings.image_roots == (home / "Pictures",)
    assert set(environment) <= {"SEEDANCE_IMAGE_ROOTS", "SEEDANCE_AGENT"}
    assert settings.agent == environment.get("SEEDANCE_AGENT", "default")


def test_the_links_are_for_trying_without_money() -> None:
    assert links() == [{"command": "seedance-mcp", "args": ["serve", "--sandbox"]}] * 4


def test_the_container_has_the_folders_of_its_image() -> None:
    (config,) = [config for config in CONFIGS if config["command"] == "docker"]
    mounts = {
        part.split(":")[1] for flag, part in zip(config["args"], config["args"][1:], strict=False) if flag == "-v"
    }
    image = (ROOT / "Dockerfile").read_text()
    assert mounts == {"/data", "/run/secrets/seedance-password", "/config/seedance-mcp", "/images", "/clips"}
    assert all(mount in image for mount in mounts)


def test_no_block_holds_a_key() -> None:
    assert "PRIVATE_KEY" not in PAGE
    assert not re.search(r"0x[0-9a-fA-F]{64}", PAGE)
