"""``scripts/bundle``: what a desktop client installs, checked by the format's own tool and started as it says."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from seedance_mcp import __version__
from tests.cli.shell import Shell
from tests.distribution.mcpb import mcpb

ROOT = Path(__file__).parents[2]
TOOLS = ["estimate_cost", "upload_image", "generate_video", "check_job"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle, unpacked as a client does."""
    folder = tmp_path_factory.mktemp("bundle")
    file = folder / "seedance.mcpb"
    subprocess.run([sys.executable, str(ROOT / "scripts" / "bundle"), str(file)], check=True, capture_output=True)
    with ZipFile(file) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def test_its_own_tool_finds_the_manifest_valid(bundle: Path) -> None:
    assert "passes" in mcpb("validate", str(bundle / "manifest.json"))


def test_the_tool_finds_what_is_wrong(tmp_path: Path) -> None:
    manifest = json.loads((ROOT / "bundle" / "manifest.json").read_text())
    del manifest["server"]["mcp_config"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RuntimeError, match="mcp_config"):
        mcpb("validate", str(tmp_path / "manifest.json"))


def test_it_holds_the_package_and_nothing_of_this_machine(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["version"] == __version__
    assert (bundle / manifest["server"]["entry_point"]).is_file()
    assert {path.name for path in bundle.iterdir()} == {
        "LICENSE", "README.md", "manifest.json", "pyproject.toml", "seedance_mcp",
    }  # fmt: skip
    assert not list(bundle.rglob("*.pyc"))
    assert not [path for path in bundle.rglob("*.py") if str(ROOT) in path.read_text()]


def test_the_same_content_is_the_same_bundle(tmp_path: Path) -> None:
    for name in ("one", "two"):
        command = [sys.executable, str(ROOT / "scripts" / "bundle"), str(tmp_path / name)]
        subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_every_question_has_an_answer_to_start_with(bundle: Path) -> None:
    """A client leaves the placeholder of an unanswered question in the environment, which the server refuses."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    asked = {name: question.get("default") for name, question in manifest["user_config"].items()}
    used = {value.removeprefix("${user_config.").removesuffix("}") for value in environment(manifest).values()}
    assert used == set(asked)
    assert None not in asked.values()


async def test_it_starts_as_its_manifest_says(bundle: Path, tmp_path: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    config = manifest["server"]["mcp_config"]
    shell = Shell(tmp_path)
    answers = {"password_file": "", "images": str(tmp_path), "clips": str(tmp_path)}
    given = {name: answers[value[len("${user_config.") : -1]] for name, value in environment(manifest).items()}
    uv = shutil.which(config["command"])
    assert uv is not None
    # With this machine's own settings of uv, which the home below hides; what follows has no network.
    await anyio.run_process([uv, "sync", "--quiet", "--python", sys.executable, "--directory", str(bundle)])
    server = StdioServerParameters(
        command=uv,
        args=[*(part.replace("${__dirname}", str(bundle)) for part in config["args"]), "--sandbox"],
        env=shell.environment() | given | {"UV_OFFLINE": "1"},
    )
    with (tmp_path / "stderr.txt").open("w") as log:
        async with Client(stdio_client(server, errlog=log)) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == TOOLS
    assert [tool["name"] for tool in manifest["tools"]] == TOOLS


def environment(manifest: dict[str, dict[str, dict[str, dict[str, str]]]]) -> dict[str, str]:
    return manifest["server"]["mcp_config"]["env"]
