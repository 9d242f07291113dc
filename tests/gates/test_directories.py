"""What directories and other people's CI ask of a server: descriptions that help, tools that can be called."""

import json
import shlex

from tests.e2e.home import Home
from tests.gates.judges import SANDBOX, probe, tdqs

CLIP = {"model": "seedance-fast", "duration": 4, "resolution": "480p"}
CALLS: dict[str, dict[str, object] | list[dict[str, object]]] = {
    "estimate_cost": {**CLIP},
    "upload_image": {"path": "lake.png"},
    "generate_video": {"prompt": "waves", "image": "lake.png", **CLIP},
    "check_job": [{}, {"wait_seconds": 1}],
}


def test_the_quality_score_of_the_tool_definitions_has_no_remark(home: Home) -> None:
    verdict = tdqs(home, "lint", "--command", shlex.join(SANDBOX), "--fail-on", "warning")
    assert verdict.code == 0, verdict.told
    assert "0 errors, 0 warnings" in verdict.out


def test_a_smoke_test_calls_every_tool_and_has_no_remark(home: Home) -> None:
    (home.folder / "calls.json").write_text(json.dumps(CALLS))
    patient = ["--timeout", "60", "--startup-timeout", "60"]
    verdict = probe(home, "--strict", "--allow-destructive", *patient, "--args", "calls.json", "--", *SANDBOX)
    assert verdict.code == 0, verdict.told
    assert "4 tools: 4 passed." in verdict.out
