"""``scripts/build`` as a module, and what it builds, installed as a user installs it."""

import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]


def load_build() -> ModuleType:
    loader = SourceFileLoader("scripts_build", str(ROOT / "scripts" / "build"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment that holds the wheel and the pinned packages that it needs, and nothing else."""

    scripts: Path

    @classmethod
    def make(cls, wheel: Path, folder: Path) -> "Installed":
        requirements = str(ROOT / "requirements" / "demo.txt")
        uv("venv", "--python", sys.executable, str(folder))
        uv("pip", "sync", "--require-hashes", "--python", str(folder), requirements)
        uv("pip", "install", "--no-deps", "--offline", "--python", str(folder), str(wheel))
        return cls(folder / ("Scripts" if os.name == "nt" else "bin"))

    def run(self, home: Path, *command: str) -> str:
        """What ``command`` says, started in ``home``, which is also all that it sees of a user."""
        environment = {"PATH": str(self.scripts), "HOME": str(home), "LANG": "C.UTF-8"}
        done = subprocess.run(
            [str(self.scripts / command[0]), *command[1:]],
            cwd=home, env=environment, capture_output=True, text=True, timeout=280, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout


def unpack(sdist: Path, folder: Path) -> Path:
    """The folder that the sdist's files are in."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = folder.iterdir()
    return unpacked


def uv(*arguments: str) -> None:
    program = shutil.which("uv")
    assert program is not None, "`pip install uv`"
    done = subprocess.run([program, "--quiet", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"`uv {' '.join(arguments)}` said {done.stderr}"
