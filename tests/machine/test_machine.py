from pathlib import Path

from tests.machine.running import run


def test_money_is_safe_whatever_happens() -> None:
    tally = run(None, examples=70, steps=50)
    assert tally.failure is None, tally.failure


def test_money_is_safe_in_a_file(tmp_path: Path) -> None:
    tally = run(tmp_path / "ledger.db", examples=25, steps=50)
    assert tally.failure is None, tally.failure
