"""An environment of its own for each framework, made once by ``uv``: what they depend on need not agree with us."""

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

HERE = Path(__file__).parent
REQUIREMENTS = HERE.parents[1] / "requirements"
MADE = HERE / ".environments"


def interpreter(name: str) -> Path:
    """The Python of the environment that ``requirements/examples-NAME.txt`` pins. RuntimeError with uv's own words."""
    requirements = REQUIREMENTS / f"examples-{name}.txt"
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    folder, stamp = MADE / name, MADE / name / ".installed"
    MADE.mkdir(exist_ok=True)
    with closing(sqlite3.connect(MADE / f"{name}.lock", timeout=600, isolation_level=None)) as lock:
        # SQLite's lock works between processes on every system, and dies with its holder.
        lock.execute("BEGIN EXCLUSIVE")
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            _uv("venv", "--python", sys.executable, str(folder))
            _uv("pip", "sync", "--require-hashes", "--python", str(folder), str(requirements))
            stamp.write_text(wanted)
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _uv(*arguments: str) -> None:
    uv = shutil.which("uv")
    if uv is None:
        raise RuntimeError("uv is not on the PATH: `pip install uv`")
    done = subprocess.run([uv, "--quiet", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"`uv {' '.join(arguments)}` ended with {done.returncode}:\n{done.stderr}")
