"""``docs/transcript.md`` is what an agent sees today."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_transcript_in_the_docs_is_what_an_agent_sees(tmp_path: Path) -> None:
    page = tmp_path / "transcript.md"
    subprocess.run([sys.executable, str(ROOT / "scripts" / "transcript"), str(page)], check=True)
    seen, told = page.read_text(encoding="utf-8"), (ROOT / "docs" / "transcript.md").read_text(encoding="utf-8")
    assert seen.splitlines() == told.splitlines(), "read the difference; if it is meant, run scripts/transcript"
    assert seen == told
