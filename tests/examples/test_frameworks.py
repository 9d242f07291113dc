"""The agents of ``examples/`` in their frameworks: a model that follows a script, the server as they start it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from seedance_mcp.mp4 import is_mp4
from tests.examples.environments import interpreter

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTED = Path(__file__).parent / "scripted"


@pytest.mark.parametrize(
    ("framework", "example", "play"),
    [
        ("openai-agents", "openai_agents.py", "play_openai_agents.py"),
        ("pydantic-ai", "pydantic_ai_agent.py", "play_pydantic_ai.py"),
        ("langchain", "langchain_agent.py", "play_langchain.py"),
    ],
)
def test_an_agent_of_another_framework_buys_a_clip(framework: str, example: str, play: str, tmp_path: Path) -> None:
    python = interpreter(framework)
    Image.new("RGB", (640, 360), (30, 90, 160)).save(tmp_path / "lake.png")
    done = subprocess.run(
        [str(python), str(SCRIPTED / play), str(EXAMPLES / example), str(tmp_path / "lake.png")],
        env={
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "HOME": str(tmp_path),
            "SEEDANCE_OUTPUT_DIR": str(tmp_path / "clips"),
        },
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    clip = Path(done.stdout.splitlines()[-1])
    assert clip.parent == tmp_path / "clips"
    assert is_mp4(clip) is None
