"""A Pydantic AI agent that buys a clip: ``pip install "pydantic-ai-slim[mcp,anthropic]"``, and ANTHROPIC_API_KEY.

    python examples/pydantic_ai_agent.py picture.jpg

The server sells from its embedded sandbox; leave out ``--sandbox`` below to spend money, within the policy.
"""

import asyncio
import os
import sys
from pathlib import Path

from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset, StdioTransport
from pydantic_ai.models import Model

INSTRUCTIONS = """\
You animate pictures. Ask for the price first, buy one draft clip (seedance-fast, 4 seconds, 480p), wait for it with
check_job, and answer with its video_path alone. After an error do what its last sentence says."""


async def animate(picture: Path, model: str | Model = "anthropic:claude-sonnet-4-5") -> str:
    server = StdioTransport(
        "seedance-mcp",
        ["serve", "--sandbox"],
        env={**os.environ, "SEEDANCE_IMAGE_ROOTS": str(picture.parent)},
    )
    seedance = MCPToolset(server, init_timeout=30, read_timeout=60)  # check_job waits for up to 50
    agent = Agent(model, instructions=INSTRUCTIONS, toolsets=[seedance])
    async with agent:
        result = await agent.run(f"Let the water in {picture.name} move gently.")
    return result.output


if __name__ == "__main__":
    print(asyncio.run(animate(Path(sys.argv[1]).resolve())))
