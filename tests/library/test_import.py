"""``import seedance_mcp`` costs nothing; its names come when they are asked for."""

import subprocess
import sys

import pytest

import seedance_mcp


def test_the_package_alone_imports_nothing() -> None:
    program = (
        "import sys, seedance_mcp; print(*sorted(name for name in sys.modules if name.startswith('seedance_mcp')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["seedance_mcp"]


@pytest.mark.parametrize("name", seedance_mcp.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(seedance_mcp, name).__name__ == name


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Studios'"):
        _ = seedance_mcp.Studios
