"""``scripts/build``: what is published, looked at and used where there is no checkout and no home."""

import json
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from seedance_mcp import __version__
from tests.distribution.release import ROOT, Installed, load_build, unpack

build = load_build()


class Built(NamedTuple):
    sdist: Path
    wheel: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, str(ROOT / "scripts" / "build"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    sdist, wheel = map(Path, done.stdout.split())
    return Built(sdist, wheel)


@pytest.fixture
def wheel(built: Built) -> dict[str, bytes]:
    return dict(build.read_wheel(built.wheel))


@pytest.fixture
def sdist(built: Built) -> dict[str, bytes]:
    return dict(build.read_sdist(built.sdist))


def test_the_version_stands_in_one_place_and_the_others_agree(built: Built) -> None:
    manifest = json.loads((ROOT / "bundle" / "manifest.json").read_text())
    (newest, *_) = re.findall(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert {manifest["version"], newest, build.version()} == {__version__}
    assert f"-{__version__}-" in built.wheel.name
    assert built.sdist.name == f"seedance_mcp-{__version__}.tar.gz"


def test_the_wheel_is_the_package_and_nothing_else(wheel: dict[str, bytes]) -> None:
    folders = {name.partition("/")[0] for name in wheel}
    assert folders == {"seedance_mcp", f"seedance_mcp-{__version__}.dist-info"}
    assert {Path(name).suffix for name in wheel if name.startswith("seedance_mcp/")} == {".py", ".sql", ".typed"}
    assert b"Typing :: Typed" in wheel[f"seedance_mcp-{__version__}.dist-info/METADATA"]


def test_the_build_tells_what_a_wheel_must_not_hold(wheel: dict[str, bytes]) -> None:
    del wheel["seedance_mcp/py.typed"]
    wheel["tests/conftest.py"] = b""
    wheel["seedance_mcp/money.py"] = b'KEY = "0x%s"' % (b"ab" * 32)
    wheel["seedance_mcp/words.py"] = str(ROOT).encode()
    assert list(build.faults_of_wheel(wheel)) == [
        "the wheel lacks seedance_mcp/py.typed",
        "the wheel holds tests/conftest.py",
        "seedance_mcp/money.py of the wheel holds what looks like a secret",
        "seedance_mcp/words.py of the wheel names this checkout",
    ]


def test_the_build_tells_what_an_sdist_must_not_hold(sdist: dict[str, bytes]) -> None:
    del sdist["LICENSE"]
    sdist["tests/peers/node_modules/viem/index.js"] = bytes(build.ROOMY)
    lacks, holds, size = build.faults_of_sdist(sdist)
    assert lacks == "the sdist lacks LICENSE"
    assert holds == "the sdist holds tests/peers/node_modules/viem/index.js"
    assert size.startswith("the sdist holds ")


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed.make(built.wheel, tmp_path_factory.mktemp("installed") / "environment")


@pytest.fixture
def homes(tmp_path: Path) -> list[Path]:
    """Homes that hold a picture each, and nothing else."""
    homes = [tmp_path / name for name in ("one", "two", "three")]
    for home in homes:
        home.mkdir()
        Image.effect_noise((640, 360), 90).convert("RGB").save(home / "lake.jpg")
    return homes


@pytest.mark.timeout(300)
def test_the_wheel_buys_where_there_is_no_checkout(installed: Installed, homes: list[Path]) -> None:
    """The demo, the README's line for shells, and the library's example."""
    (line,) = re.findall(r"^seedance-mcp buy --sandbox .*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    example = str(ROOT / "examples" / "library.py")
    commands = [["seedance-mcp", "demo"], shlex.split(line), ["python", "-I", example, "lake.jpg", "--sandbox"]]
    with ThreadPoolExecutor() as pool:
        demo, bought, printed = pool.map(lambda home, command: installed.run(home, *command), homes, commands)
    for clip in (demo.splitlines()[-1], json.loads(bought)["video_path"], printed.splitlines()[-1]):
        assert Path(clip).read_bytes()[4:8] == b"ftyp"
    assert "$0.99 is above the limit of $0.75 per payment. Nothing was charged." in demo


def test_the_installed_command_is_of_this_version(installed: Installed, homes: list[Path]) -> None:
    (home, *_) = homes
    assert installed.run(home, "seedance-mcp", "--version") == f"seedance-mcp, version {__version__}\n"
    place = installed.run(home, "python", "-Ic", "import seedance_mcp; print(seedance_mcp.__file__)").strip()
    assert Path(place).is_relative_to(installed.scripts.parent)


@pytest.mark.timeout(300)
def test_the_first_command_of_the_readme_works_in_what_is_published(built: Built, tmp_path: Path) -> None:
    """As it stands there, in the unpacked sdist, by a shell with this machine's own settings of pip and uv."""
    unpacked = unpack(built.sdist, tmp_path / "sdist")
    command = re.search(r"^```sh\n(.*?)^```$", (unpacked / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert command is not None
    ours = {"VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT"}  # of the environment that this test runs in
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment["SEEDANCE_OUTPUT_DIR"] = str(tmp_path / "clips")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command[1]],
        cwd=unpacked, env=environment, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.splitlines()[-1]).parent == tmp_path / "clips"
