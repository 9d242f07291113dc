"""An agent's client waits for ``tools/list``: what a server needs only later is not imported before it."""

import subprocess
import sys

LATER = (
    "eth_account",
    "eth_keys",
    "eth_keyfile",
    "httpx",
    "rlp",
    "apsw",
    "psycopg",
    "PIL",
    "av",
    "matplotlib",
    "keyring",
)


def test_server_and_commands_import_nothing_heavy() -> None:
    program = f"import sys, seedance_mcp.server, seedance_mcp.cli; print(*(set({LATER}) & set(sys.modules)))"
    assert output(program) == ""


def test_the_check_sees_a_module_that_is_imported() -> None:
    assert output("import sys, PIL.Image; print(*({'PIL', 'av'} & set(sys.modules)))") == "PIL"


def output(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()
