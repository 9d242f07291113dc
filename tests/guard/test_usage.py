from datetime import timedelta

from seedance_mcp.guard.usage import WALLET, WINDOWS, Outcome, Verdict, agent_scope, model_scope


def test_windows_are_as_long_as_their_names_say() -> None:
    lengths = {name: milliseconds and timedelta(milliseconds=milliseconds) for name, milliseconds in WINDOWS.items()}
    assert lengths == {
        "hour": timedelta(hours=1),
        "day": timedelta(days=1),
        "week": timedelta(weeks=1),
        "month": timedelta(days=30),
        "total": None,
    }


def test_verdicts_are_noted_in_words_that_never_change() -> None:
    assert [str(outcome) for outcome in Outcome] == ["allow", "ask", "refuse"]


def test_scopes_are_noted_in_words_that_never_change() -> None:
    assert (WALLET, agent_scope("ada"), model_scope("upload")) == ("wallet", "agent:ada", "model:upload")


def test_nobody_has_to_do_anything_about_a_verdict_without_a_remedy() -> None:
    assert Verdict(Outcome.ALLOW, "allowed", "in this test").remedy == ""
