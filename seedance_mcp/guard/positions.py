"""Where the keys of a TOML text stand. ``tomllib`` does not tell, and only a mistake needs to know."""

import re
import tomllib
from collections.abc import Iterator, Mapping

Key = tuple[str, ...]
"""The path to a value: ``("caps", "per_day")``."""
Position = tuple[int, int]
"""Line and column, counted from 1 as editors do."""


def positions(text: str) -> dict[Key, Position]:
    """The first place of every key and table of a valid TOML text, whichever way it is written.

    A header is a document by itself, and so is an assignment: whatever ``tomllib`` can read is one whole statement, so
    that only it needs to know how strings, arrays and dotted keys are written.
    """
    found: dict[Key, Position] = {}
    table: Key = ()
    within: Key
    lines: list[str] = []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        lines.append(line)
        statement = "\n".join(lines)
        try:
            content = tomllib.loads(statement)
        except ValueError:  # the value goes on in the next line
            continue
        keys = list(_keys(content, ()))
        if statement.lstrip().startswith("["):
            within, table = (), keys[-1]
        else:
            within = table
        for key in keys:
            found.setdefault(within + key, _place(statement, key[-1], number - len(lines) + 1))
        lines = []
    return found


def nearest(places: Mapping[Key, Position], key: Key) -> Position | None:
    """The place of a key, or of the table that it is in."""
    return next((places[key[:length]] for length in range(len(key), 0, -1) if key[:length] in places), None)


def _keys(content: object, path: Key) -> Iterator[Key]:
    """The paths of all keys, outer ones first."""
    if isinstance(content, Mapping):
        for name, inner in content.items():
            yield (*path, name)
            yield from _keys(inner, (*path, name))
    elif isinstance(content, list):
        for inner in content:
            yield from _keys(inner, path)


def _place(statement: str, name: str, first: int) -> Position:
    """The place of the key ``name`` in a statement that begins in line ``first``."""
    match = re.search(rf"(?<![\w-]){re.escape(name)}(?=[\"']?\s*[=.\]])", statement) or re.search(r"\S", statement)
    before = statement[: match.start() if match else 0]
    return first + before.count("\n"), len(before) - (before.rfind("\n") + 1) + 1
