"""The page: what was called and answered, with stand-ins for all that differs from run to run."""

import json
import re
from collections.abc import Mapping

NOON = "2026-05-01T12:00:00Z"
STAND_INS = (
    (r"http://127\.0\.0\.1:\d+", "https://seller.example", False),
    (r"/blob/uploads/[\w/-]+(?=\.jpg)", "/images/image", True),
    (r"\b0x[0-9a-f]{64}\b", "transaction", True),
    (r"\b[0-9a-f]{64}\b", "hash", True),
    (r"\bpur_[0-9a-f]{16}\b", "purchase", True),
    (r"\bc[0-9a-f]{24}\b", "job", True),
    (r"\bq_[0-9a-f]{16}\b", "quote", True),
    (r"(?<=-)[0-9a-f]{8}(?=\.mp4)", "clip", True),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", NOON, False),
)
"""A pattern, the name that takes its place, and whether different finds get different numbers."""
WIDTH = 128
LEFT_OUT = "…"


class Page:
    """Markdown that grows. ``home`` is the folder that is shown as ``/home/you``."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._parts: list[str] = []
        self._budget_shown = False

    @property
    def text(self) -> str:
        text = "\n\n".join(self._parts).replace(self._home, "/home/you")
        for pattern, name, numbered in STAND_INS:
            names: dict[str, str] = {}
            for found in re.findall(pattern, text):
                names.setdefault(found, f"{name}-{len(names) + 1}" if numbered else name)
            text = re.sub(pattern, lambda match, names=names: names[match[0]], text)
        return text + "\n"

    def add(self, words: str) -> None:
        self._parts.append(words)

    def call(self, intent: str, tool: str, arguments: Mapping[str, object]) -> None:
        self.add(f"**{intent}**")
        self._block("", f"{tool} {_compact(arguments)}")

    def answer(self, text: str) -> None:
        """The text content: a document, or the sentences of an error."""
        try:
            document = json.loads(text)
        except ValueError:
            self.add(f"> {text}")
        else:
            self._block("", _laid_out(self._trimmed(document)))

    def shell(self, command: str, output: str) -> None:
        self._block("console", f"$ {command}\n{output.rstrip()}")

    def toml(self, text: str) -> None:
        self._block("toml", text)

    def _block(self, language: str, text: str) -> None:
        self.add(f"```{language}\n{text}\n```")

    def _trimmed(self, document: Mapping[str, object]) -> dict[str, object]:
        """Without nulls, and without the windows of a budget that was shown before; what is left out is marked."""
        kept = {name: value for name, value in document.items() if value is not None}
        for name, value in kept.items():
            if isinstance(value, dict):
                kept[name] = self._trimmed(value)
        if "windows" in kept:
            if self._budget_shown:
                del kept["windows"]
            self._budget_shown = True
        return kept if len(kept) == len(document) else kept | {LEFT_OUT: LEFT_OUT}


def _laid_out(value: object, indent: str = "") -> str:
    """JSON on one line where it fits, else with a line for each member."""
    line = _compact(value)
    deeper = f"{indent}  "
    if isinstance(value, dict) and (not indent or len(indent + line) > WIDTH):
        members = [_member(name, inner, deeper) for name, inner in value.items()]
        return "{\n" + ",\n".join(deeper + member for member in members) + f"\n{indent}}}"
    if isinstance(value, list) and len(indent + line) > WIDTH:
        return "[\n" + ",\n".join(deeper + _laid_out(inner, deeper) for inner in value) + f"\n{indent}]"
    return line


def _member(name: str, value: object, indent: str) -> str:
    return LEFT_OUT if name == LEFT_OUT else f"{_compact(name)}: {_laid_out(value, indent)}"


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False).replace(f'"{LEFT_OUT}": "{LEFT_OUT}"', LEFT_OUT)
