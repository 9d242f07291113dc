"""An agent that knows what its user wants, and beyond that only what the tools answer."""

import json
import re
from dataclasses import dataclass
from typing import Any

from mcp import Client
from mcp_types import TextContent
from transcript_page import Page

CALL = re.compile(r"\b[Cc]all (\w+)( again)? with ([^.;]+?)(?= until | to |[.;]|$)")
ASSIGNED = re.compile(r'(\w+)="([^"]+)"')
PATIENCE = 60
"""Seconds after which clients give a call up."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The text that a model sees, and the fields in it; an error has none."""

    text: str
    fields: dict[str, Any]


class Agent:
    """Writes every call and its answer on ``page``."""

    def __init__(self, client: Client, page: Page) -> None:
        self._client = client
        self._page = page
        self._last: dict[str, dict[str, Any]] = {}

    async def call(self, intent: str, tool: str, **arguments: object) -> Answer:
        self._page.call(intent, tool, arguments)
        self._last[tool] = arguments
        result = await self._client.call_tool(tool, arguments, read_timeout_seconds=PATIENCE)
        assert isinstance(result.content[0], TextContent)
        text = result.content[0].text
        self._page.answer(text)
        return Answer(text, {} if result.is_error else json.loads(text))

    async def follow(self, intent: str, advice: str) -> Answer:
        """Make the call that ``advice`` names. ValueError if it names none: then no agent could know what to do."""
        named = CALL.search(advice)
        if named is None:
            raise ValueError(f"no call is named: {advice}")
        tool, again, how = named.groups()
        arguments = dict(self._last[tool]) if again else {}
        if how != "the same arguments":
            for argument in how.split(" and "):
                name, value = re.split("[ =]", argument, maxsplit=1)
                arguments[name] = int(value) if value.isdecimal() else value
        return await self.call(intent, tool, **arguments)

    async def repeat(self, intent: str, tool: str, **changed: object) -> Answer:
        """The last call of ``tool`` once more, but for what is ``changed``."""
        return await self.call(intent, tool, **{**self._last[tool], **changed})


def assigned(text: str) -> dict[str, str]:
    """The arguments that a sentence spells as ``name="value"``."""
    return dict(ASSIGNED.findall(text))
