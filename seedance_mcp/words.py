"""Words of others, made fit to be shown: what a reader cannot see can carry instructions to a model."""

import re
import unicodedata

_INKLESS = re.compile("[\u034f\u115f\u1160\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
"""Fillers and variation selectors: letters and marks that draw nothing and can spell bytes."""


def visible(text: str, limit: int) -> str:
    """``text`` on one line of at most ``limit`` characters, without anything that a reader cannot see.

    Control, bidirectional and zero-width characters, variation selectors and tags go. Double quotes become single ones,
    so that quoted words stay quoted.
    """
    shown = "".join(_visible(character) for character in text[: limit * 8])
    words = " ".join(shown.split()).replace('"', "'")
    return words if len(words) <= limit else f"{words[: limit - 1].rstrip()}…"


def _visible(character: str) -> str:
    if character.isspace():
        return " "
    return "" if unicodedata.category(character).startswith("C") or _INKLESS.match(character) else character
