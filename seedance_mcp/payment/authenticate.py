"""The challenges in WWW-Authenticate, taken apart (RFC 9110, sections 5.6 and 11)."""

import re
from typing import NamedTuple

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_END = r"[ \t]*(?:,[ \t,]*|\Z)"
_PARAMETER = re.compile(rf'({_WORD})[ \t]*=[ \t]*(?:({_WORD})|"((?:[^"\\]|\\.)*)"){_END}')
_SCHEME = re.compile(rf"({_WORD})(?:(?: +[A-Za-z0-9._~+/-]+=*)?{_END}| +)")
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))")


class Authentication(NamedTuple):
    """One challenge: ``scheme`` and names in lower case, values unquoted. A bare token68 is left out."""

    scheme: str
    parameters: tuple[tuple[str, str], ...]


def read_challenges(header: str) -> list[Authentication]:
    """All challenges of a field value, of one line or of several that were joined with commas.

    Raises ValueError when it cannot be told where one ends; its text completes a sentence about the header.
    """
    found: list[tuple[str, list[tuple[str, str]]]] = []
    header, position = header.strip(" \t,"), 0
    while position < len(header):
        match = _PARAMETER.match(header, position) or _SCHEME.match(header, position)
        if match is None:
            raise ValueError("is not a list of challenges")
        if match.re is _SCHEME:
            found.append((match[1].lower(), []))
        elif found:
            name, word, quoted = match.groups()
            found[-1][1].append((name.lower(), _unquoted(quoted) if word is None else word))
        else:
            raise ValueError("has a parameter before any scheme")
        position = match.end()
    return [Authentication(scheme, tuple(parameters)) for scheme, parameters in found]


def _unquoted(text: str) -> str:
    # Sellers on mppx write characters that no header can carry as \uXXXX, which RFC 9110 would read as "uXXXX".
    return _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)) if escape[1] else escape[2], text)
