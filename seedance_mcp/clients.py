"""Where MCP clients keep their configuration, what stands there about this server, and how an entry is added to it.

Sources: the documentation of each client. Claude Desktop, Claude Code and Cursor take JSON with ``mcpServers``, VS Code
JSON with ``servers``, Codex TOML with ``[mcp_servers.NAME]``.
"""

import json
import os
import re
import secrets
import stat
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seedance_mcp.errors import InvalidSettings

NAME = "seedance"
_PROGRAM = {"seedance-mcp", "seedance-mcp.exe", "seedance_mcp"}


@dataclass(frozen=True, slots=True)
class Client:
    """``key`` is the member of the file that holds the servers. ``expands``: it fills in ``${…}`` itself."""

    name: str
    title: str
    path: Path
    key: str = "mcpServers"
    expands: bool = False

    @property
    def is_toml(self) -> bool:
        return self.path.suffix == ".toml"


@dataclass(frozen=True, slots=True)
class Entry:
    """How a client starts this server."""

    name: str
    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)


def known_clients(environ: Mapping[str, str], folder: Path, platform: str = sys.platform) -> tuple[Client, ...]:
    """Every client that is known here, whether it is installed or not. ``folder``: that of the project at hand."""
    home = Path(environ.get("USERPROFILE" if platform == "win32" else "HOME") or Path.home())
    apps = {
        "darwin": home / "Library" / "Application Support",
        "win32": Path(environ.get("APPDATA") or home / "AppData" / "Roaming"),
    }.get(platform, Path(environ.get("XDG_CONFIG_HOME") or home / ".config"))
    codex = Path(environ.get("CODEX_HOME") or home / ".codex")
    return (
        Client("claude-desktop", "Claude Desktop", apps / "Claude" / "claude_desktop_config.json"),
        Client("claude-code", "Claude Code, in this folder", folder / ".mcp.json", expands=True),
        Client("cursor", "Cursor", home / ".cursor" / "mcp.json", expands=True),
        Client("vscode", "VS Code", apps / "Code" / "User" / "mcp.json", "servers", expands=True),
        Client("codex", "Codex", codex / "config.toml", "mcp_servers"),
    )


def is_installed(client: Client) -> bool:
    """Whether the client was ever used here, as far as its files tell."""
    return client.path.exists() or (client.name != "claude-code" and client.path.parent.is_dir())


def read_entries(client: Client) -> Sequence[Entry]:
    """The entries of the client's file that start this server. Raises InvalidSettings for a file that is not read."""
    text = _read(client)
    servers = _parsed(client, text).get(client.key) if text else None
    found = []
    for name, entry in _table(servers).items():
        command, args = _table(entry).get("command"), tuple(map(str, _list(_table(entry).get("args"))))
        if isinstance(command, str) and _is_ours(command, args):
            env = {key: str(value) for key, value in _table(_table(entry).get("env")).items()}
            found.append(Entry(name, command, args, env))
    return found


def with_entry(client: Client, entry: Entry) -> str:
    """The whole text of the client's file with ``entry`` added: every byte that is there stays.

    Raises InvalidSettings where that cannot be done: the name is taken, or the file is not plain JSON or TOML.
    """
    text = _read(client) or ""
    before = _parsed(client, text)
    servers, document = before.get(client.key, {}), _document(client, entry)
    odd = InvalidSettings(f"{client.path} is written in a way that an entry cannot be added to")
    if not isinstance(servers, dict):
        raise odd
    if entry.name in servers:
        raise InvalidSettings(f"{client.path} has an entry {entry.name!r} already")
    add = _with_table if client.is_toml else _with_member
    after = add(text, client, entry.name, document)
    if _loaded(client, after) != {**before, client.key: {**servers, entry.name: document}}:
        raise odd
    return after


def snippet(client: Client, entry: Entry) -> str:
    """What a new file would hold, for those that have to be changed by hand."""
    add = _with_table if client.is_toml else _with_member
    return add("", client, entry.name, _document(client, entry))


def add_entry(client: Client, entry: Entry) -> None:
    """Write what ``with_entry`` gives, in one step. Raises InvalidSettings."""
    text = with_entry(client, entry)
    path = client.path.resolve()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o600
        try:
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise InvalidSettings(f"{client.path} cannot be written ({error.strerror})") from None


def _read(client: Client) -> str | None:
    try:
        return client.path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"{client.path} cannot be read ({error})") from None


def _parsed(client: Client, text: str) -> dict[str, Any]:
    found = _loaded(client, text if text.strip() or client.is_toml else "{}")
    if not isinstance(found, dict):
        raise InvalidSettings(f"{client.path} is not plain {'TOML' if client.is_toml else 'JSON'}")
    return found


def _loaded(client: Client, text: str) -> object:
    """None for what is no JSON or TOML."""
    try:
        return tomllib.loads(text) if client.is_toml else json.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_ours(command: str, args: Sequence[str]) -> bool:
    """Also where something like ``python -m`` or ``uvx`` starts it."""
    return not _PROGRAM.isdisjoint(re.split(r"[/\\]", word)[-1] for word in (command, *args[:3]))


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _document(client: Client, entry: Entry) -> dict[str, Any]:
    kind = {"type": "stdio"} if client.key == "servers" else {}
    document = {**kind, "command": entry.command, "args": list(entry.args), "env": dict(entry.env)}
    return {name: value for name, value in document.items() if value}


def _with_table(text: str, client: Client, name: str, document: Mapping[str, Any]) -> str:
    """``text`` and a table of its own, which may follow whatever is there."""
    lines = [f"[{client.key}.{name}]"]
    lines += [f"{key} = {_string(value)}" for key, value in document.items() if key != "env"]
    if env := document.get("env"):
        lines += ["", f"[{client.key}.{name}.env]", *(f"{key} = {_string(value)}" for key, value in env.items())]
    gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    return text + gap + "\n".join(lines) + "\n"


def _string(value: object) -> str:
    # JSON's strings and lists of strings are TOML's, but for one character that TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _with_member(text: str, client: Client, name: str, document: Mapping[str, Any]) -> str:
    if not text.strip():
        return json.dumps({client.key: {name: document}}, indent=2, ensure_ascii=False) + "\n"
    top, members = _places(text)
    if client.key in members:
        return _inserted(text, members[client.key], name, document)
    return _inserted(text, top, client.key, {name: document})


def _places(text: str) -> tuple[int, Mapping[str, int]]:
    """Where the object that ``text`` is begins, and where the value of each of its members does."""
    decoder = json.JSONDecoder()
    top = at = _past_space(text, 0)
    members = {}
    at = _past_space(text, at + 1)
    while text[at] != "}":
        name, at = decoder.raw_decode(text, at)
        members[name] = at = _past_space(text, _past_space(text, at) + 1)
        _, at = decoder.raw_decode(text, at)
        at = _past_space(text, at)
        if text[at] == ",":
            at = _past_space(text, at + 1)
    return top, members


def _inserted(text: str, brace: int, name: str, document: Mapping[str, Any]) -> str:
    """``text`` with a first member in the object that begins at ``brace``, laid out like the members that follow."""
    first = _past_space(text, brace + 1)
    gap = text[brace + 1 : first]
    rest = ("," if gap else ", ") + text[brace + 1 :]
    if text[first] == "}":
        line = text[text.rfind("\n", 0, brace) + 1 : brace]
        outer = line[: len(line) - len(line.lstrip())]
        gap, rest = f"\n{outer}  ", f"\n{outer}{text[first:]}"
    body = json.dumps(document, indent=2 if "\n" in gap else None, ensure_ascii=False)
    body = body.replace("\n", "\n" + gap.rpartition("\n")[2])
    return f"{text[: brace + 1]}{gap}{json.dumps(name)}: {body}{rest}"


def _past_space(text: str, at: int) -> int:
    while text[at].isspace():
        at += 1
    return at
