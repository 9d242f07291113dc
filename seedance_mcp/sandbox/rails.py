"""What the checkout knows of a way to be paid."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from starlette.datastructures import Headers

RailName = Literal["x402", "mpp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """What is asked for one request: ``amount`` in micro-USD, ``url`` as the client knows the route."""

    url: str
    amount: int
    body: bytes
    extensions: Mapping[str, object]


class Refused(Exception):
    """A credential is not accepted; nothing was delivered or debited, and the answer has a fresh challenge.

    ``args[0]`` is the word for the challenge's ``error``, ``problem`` what stands in the body.
    """

    def __init__(self, word: str, *, status: int = 402, problem: Mapping[str, object] | None = None) -> None:
        super().__init__(word)
        self.status = status
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Settlement:
    """``succeeded`` is whether the amount moved; ``receipt`` are the headers that say so, or why not."""

    succeeded: bool
    receipt: Mapping[str, str] = field(default_factory=dict)


class Payment(Protocol):
    """A credential that was found good. ``payer`` is a checksummed address."""

    @property
    def payer(self) -> str: ...

    def settle(self) -> Settlement: ...


class Rail(Protocol):
    def credential(self, headers: Headers) -> str | None:
        """What a request brings for this rail."""

    def challenge(self, sale: Sale, error: str) -> Mapping[str, str]:
        """The headers of a 402."""

    def verify(self, credential: str, sale: Sale) -> Payment:
        """Raises Refused."""
