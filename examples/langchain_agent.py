"""A LangChain agent (on LangGraph) that buys a clip: ``pip install langchain langchain-mcp-adapters
langchain-anthropic``, and ANTHROPIC_API_KEY.

    python examples/langchain_agent.py picture.jpg

The adapters need an ``mcp`` below 2 and this server one above, so install the server apart (``uv tool install .`` in
its checkout): they only talk over stdio. It sells from its embedded sandbox; leave out ``--sandbox`` below to spend
money, within the policy.
"""

import asyncio
import os
import sys
from pathlib import Path

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.tools import load_mcp_tools

INSTRUCTIONS = """\
You animate pictures. Ask for the price first, buy one draft clip (seedance-fast, 4 seconds, 480p), wait for it with
check_job, and answer with its video_path alone. After an error do what its last sentence says."""


async def animate(picture: Path, model: str | BaseChatModel = "anthropic:claude-sonnet-4-5") -> str:
    client = MultiServerMCPClient(
        {
            "seedance": {
                "transport": "stdio",
                "command": "seedance-mcp",
                "args": ["serve", "--sandbox"],
                "env": {**os.environ, "SEEDANCE_IMAGE_ROOTS": str(picture.parent)},
            }
        }
    )
    async with client.session("seedance") as session:  # one server for the whole conversation, not one for each call
        agent = create_agent(model, await load_mcp_tools(session), system_prompt=INSTRUCTIONS)
        task = f"Let the water in {picture.name} move gently."
        answer = await agent.ainvoke({"messages": [("user", task)]})
    return str(answer["messages"][-1].content)


if __name__ == "__main__":
    print(asyncio.run(animate(Path(sys.argv[1]).resolve())))
