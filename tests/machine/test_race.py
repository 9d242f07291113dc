import sys
from pathlib import Path

import pytest

from tests.machine.race import race


@pytest.mark.skipif(sys.platform == "win32", reason="signals are of POSIX")
async def test_sixteen_processes_at_one_cap_admit_exactly_what_fits(tmp_path: Path) -> None:
    result = await race(tmp_path / "ledger.db", processes=16, stopped=3, fitting=7)
    assert result.while_stopped <= 7
    assert result.admitted == 7
    assert result.busy > 0
    assert result.problems == []
