"""``examples/langchain_agent.py`` with a scripted model: its path and a picture are the arguments.

Runs in the environment of its framework, which the type checker does not see.
"""

# mypy: ignore-errors
# ruff: noqa: T201

import asyncio
import sys
from pathlib import Path
from runpy import run_path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from screenplay import read, turn


class Scripted(BaseChatModel):
    picture: str

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        answers = [read(_text(message)) for message in messages if isinstance(message, ToolMessage)]
        action = turn(answers, self.picture)
        if isinstance(action, str):
            spoken = AIMessage(action)
        else:
            call = {"name": action[0], "args": action[1], "id": f"call-{len(answers)}"}
            spoken = AIMessage("", tool_calls=[call])
        return ChatResult(generations=[ChatGeneration(message=spoken)])

    def bind_tools(self, *_: Any, **__: Any) -> "Scripted":
        return self

    @property
    def _llm_type(self) -> str:
        return "scripted"


def _text(message: ToolMessage) -> str:
    """The answer's own text; links to the clip's resources come after it."""
    content = message.content
    return content if isinstance(content, str) else str(content[0]["text"])


if __name__ == "__main__":
    example, picture = sys.argv[1], Path(sys.argv[2])
    print(asyncio.run(run_path(example)["animate"](picture, Scripted(picture=picture.name))))
