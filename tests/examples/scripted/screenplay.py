"""What a model would say, without one: the same turns for every framework.

Runs in the environment of a framework, which has neither this project nor its tests.
"""

import json
from typing import Any

DRAFT = {"model": "seedance-fast", "duration": 4, "resolution": "480p"}


def turn(answers: list[dict[str, Any]], picture: str) -> tuple[str, dict[str, Any]] | str:
    """The next tool to call with its arguments, or the last word, after the tools' ``answers`` so far."""
    match answers:
        case []:
            return "estimate_cost", DRAFT
        case [quote]:
            return "generate_video", {**DRAFT, "prompt": "waves", "image": picture, "quote_id": quote["quote_id"]}
        case [_, bought]:
            return "check_job", {"job_id": bought["job_id"], "wait_seconds": 50}
        case [*_, job]:
            return str(job["video_path"])
    raise AssertionError(answers)


def read(text: str) -> dict[str, Any]:
    """A tool's answer as the framework hands it to its model; links to a clip's resources come after it."""
    document = json.loads(text)
    answer = document[0] if isinstance(document, list) else document
    assert isinstance(answer, dict), text
    return answer
