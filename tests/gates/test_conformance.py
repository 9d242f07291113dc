"""The conformance suite of the protocol's authors, on every scenario that it has for a revision.

What must fail is listed in ``expected/REVISION.yml``, check by check, with the reason. The suite itself turns red for a
check that newly fails and for one that starts to pass; an entry that names nothing is found here.
"""

import re

import pytest

from tests.e2e.home import Home
from tests.gates.judges import HERE, conformance


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_what_fails_in_the_conformance_suite_is_what_is_expected_to(home: Home, address: str, revision: str) -> None:
    expected = HERE / "expected" / f"{revision}.yml"
    verdict = conformance(
        home, "--url", address, "--suite", "all", "--spec-version", revision, "--expected-failures", str(expected)
    )
    assert verdict.code == 0, _summary(verdict.told)
    failed = set(re.findall(r"^ {2}~ (\S+)$", verdict.out, re.MULTILINE))
    assert failed == set(re.findall(r"^ {2}- (\S+)$", expected.read_text(), re.MULTILINE))


def _summary(told: str) -> str:
    """The suite's last words: the scenarios, and how they differ from what is expected."""
    return told[max(told.find("=== SUMMARY ==="), 0) :]
