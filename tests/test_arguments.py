import pytest

from seedance_mcp.arguments import capitalised


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("the seller is silent.", "The seller is silent."),
        ("this machine's clock is behind.", "This machine's clock is behind."),
        ("no.", "No."),
        ("quote_id has expired.", "quote_id has expired."),
        ("generate_video has no argument 'x'.", "generate_video has no argument 'x'."),
        ("http://seller.example could not be reached.", "http://seller.example could not be reached."),
        ("10.0.0.1 is not public.", "10.0.0.1 is not public."),
        ("seller.example is not public.", "seller.example is not public."),
        ("$0.99 is above the limit.", "$0.99 is above the limit."),
        ("", ""),
    ],
)
def test_a_sentence_begins_with_a_capital_and_a_name_stays_as_it_is(text: str, sentence: str) -> None:
    assert capitalised(text) == sentence
