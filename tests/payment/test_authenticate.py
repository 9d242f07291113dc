import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpp import Challenge

from seedance_mcp.payment.authenticate import read_challenges


def test_a_quoted_comma_does_not_end_a_parameter_or_a_challenge() -> None:
    header = 'Payment id="1", description="Seedance, 5 s, Payment id=\\"9\\"", Payment id="2"'
    assert read_challenges(header) == [
        ("payment", (("id", "1"), ("description", 'Seedance, 5 s, Payment id="9"'))),
        ("payment", (("id", "2"),)),
    ]


def test_other_schemes_may_stand_between() -> None:
    header = 'Basic realm="a, b", Negotiate, Digest qop=auth,nonce="n" , Bearer abc/+==,PAYMENT\tid=x'.replace(
        "\t", " "
    )
    assert [challenge.scheme for challenge in read_challenges(header)] == [
        *["basic", "negotiate", "digest", "bearer", "payment"]
    ]
    assert read_challenges(header)[2].parameters == (("qop", "auth"), ("nonce", "n"))
    assert read_challenges(header)[3].parameters == ()


def test_names_are_lowered_values_are_kept_and_repetitions_are_shown() -> None:
    (challenge,) = read_challenges('Payment ID = "AbC" , New-One=t0ken, id="x"')
    assert challenge.parameters == (("id", "AbC"), ("new-one", "t0ken"), ("id", "x"))


def test_empty_list_elements_are_skipped() -> None:
    assert read_challenges(' ,, Payment id="1",, ,realm="r", ') == [("payment", (("id", "1"), ("realm", "r")))]
    assert read_challenges("") == read_challenges(" , ") == []


@pytest.mark.parametrize(
    "header",
    [
        'id="1"',
        'Payment id="1',
        'Payment id="1\\"',
        'Payment id="1" realm="r"',
        'Payment id="1"x',
        "Payment id=a:b",
        'Payment {"id":1}',
        "Payment\x00id=1",
        'Pay\u00e9 id="1"',
    ],
)
def test_what_cannot_be_told_apart_is_refused(header: str) -> None:
    with pytest.raises(ValueError, match=r"not a list of challenges|before any scheme"):
        read_challenges(header + ', Payment id="2"')


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\n")), st.text('ab\\", =\u2014u0041'))
def test_what_an_sdk_writes_is_read_back(description: str, other: str) -> None:
    header = ", ".join(
        Challenge(
            id="1", method="tempo", intent="charge", realm="r", request={}, description=text or "-"
        ).to_www_authenticate("r")
        for text in (description, other)
    )
    read = [dict(challenge.parameters)["description"] for challenge in read_challenges(header)]
    # Characters beyond 16 bits are escaped as a surrogate pair, which JSON joins again.
    assert [text.encode("utf-16", "surrogatepass").decode("utf-16") for text in read] == [
        text or "-" for text in (description, other)
    ]


@given(st.text() | st.text('Payment ="\\,a '))
def test_nothing_but_a_value_error_leaves_the_reader(header: str) -> None:
    with contextlib.suppress(ValueError):
        read_challenges(header)
