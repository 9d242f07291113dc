"""An agent of the OpenAI Agents SDK that buys a clip: ``pip install openai-agents``, and OPENAI_API_KEY.

    python examples/openai_agents.py picture.jpg

The server sells from its embedded sandbox; leave out ``--sandbox`` below to spend money, within the policy.
"""

import asyncio
import os
import sys
from pathlib import Path

from agents import Agent, Model, Runner
from agents.mcp import MCPServerStdio

INSTRUCTIONS = """\
You animate pictures. Ask for the price first, buy one draft clip (seedance-fast, 4 seconds, 480p), wait for it with
check_job, and answer with its video_path alone. After an error do what its last sentence says."""


async def animate(picture: Path, model: str | Model = "gpt-5.2") -> str:
    server = MCPServerStdio(
        params={
            "command": "seedance-mcp",
            "args": ["serve", "--sandbox"],
            "env": {**os.environ, "SEEDANCE_IMAGE_ROOTS": str(picture.parent)},
        },
        client_session_timeout_seconds=60,  # check_job waits for up to 50, and the default here is 5
    )
    async with server:
        agent = Agent(name="Animator", instructions=INSTRUCTIONS, model=model, mcp_servers=[server])
        result = await Runner.run(agent, f"Let the water in {picture.name} move gently.")
    return str(result.final_output)


if __name__ == "__main__":
    print(asyncio.run(animate(Path(sys.argv[1]).resolve())))
