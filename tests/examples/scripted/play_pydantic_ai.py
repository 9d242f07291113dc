"""``examples/pydantic_ai_agent.py`` with a scripted model: its path and a picture are the arguments.

Runs in the environment of its framework, which the type checker does not see.
"""

# mypy: ignore-errors
# ruff: noqa: T201

import asyncio
import json
import sys
from pathlib import Path
from runpy import run_path

from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from screenplay import read, turn


def scripted(picture: str) -> FunctionModel:
    def speak(messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        parts = [part for message in messages for part in message.parts if isinstance(part, ToolReturnPart)]
        answers = [read(part.model_response_str()) for part in parts]
        action = turn(answers, picture)
        if isinstance(action, str):
            return ModelResponse(parts=[TextPart(action)])
        return ModelResponse(parts=[ToolCallPart(action[0], json.dumps(action[1]))])

    return FunctionModel(speak)


if __name__ == "__main__":
    example, picture = sys.argv[1], Path(sys.argv[2])
    print(asyncio.run(run_path(example)["animate"](picture, scripted(picture.name))))
