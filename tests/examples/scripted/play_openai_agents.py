"""``examples/openai_agents.py`` with a scripted model: its path and a picture are the arguments.

Runs in the environment of its framework, which the type checker does not see.
"""

# mypy: ignore-errors
# ruff: noqa: T201

import asyncio
import json
import sys
from pathlib import Path
from runpy import run_path
from typing import Any

from agents import Model, ModelResponse, Usage, set_tracing_disabled
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText
from screenplay import read, turn


class Scripted(Model):
    def __init__(self, picture: str) -> None:
        self._picture = picture

    async def get_response(self, *_: Any, **request: Any) -> ModelResponse:
        said = [] if isinstance(request["input"], str) else request["input"]
        answers = [read(_text(item["output"])) for item in said if item.get("type") == "function_call_output"]
        action = turn(answers, self._picture)
        if isinstance(action, str):
            text = ResponseOutputText(annotations=[], text=action, type="output_text")
            spoken = ResponseOutputMessage(
                id="last", content=[text], role="assistant", status="completed", type="message"
            )
            return ModelResponse([spoken], Usage(), None)
        name, arguments = action
        call = ResponseFunctionToolCall(
            call_id=f"call-{len(answers)}", name=name, arguments=json.dumps(arguments), type="function_call"
        )
        return ModelResponse([call], Usage(), None)

    def stream_response(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


def _text(output: Any) -> str:
    """The answer's own text; links to the clip's resources come after it."""
    if isinstance(output, list):
        return str(output[0]["text"])
    answer = json.loads(output)
    return str(answer["text"]) if set(answer) >= {"type", "text"} else str(output)


if __name__ == "__main__":
    set_tracing_disabled(True)
    example, picture = sys.argv[1], Path(sys.argv[2])
    print(asyncio.run(run_path(example)["animate"](picture, Scripted(picture.name))))
