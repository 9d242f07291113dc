"""One error tree. Each error says what failed, what happened to the money, and what to do next.

SeedanceError
|- InvalidArgument      an argument of a tool or command, by name
|- InvalidSettings      the environment, or a file it points to
|- InvalidPolicy        the operator's policy file
|- InvalidImage         an image that cannot be read, or may not be
|- NoWallet             a paying tool was called and there is no key
|- Refused              the guard said no
|- NotFound             no such job, purchase or quote
|- StudioError          the seller's side
|  |- StudioUnavailable     no usable answer
|  |- StudioRejected        the seller says that the request is wrong
|- BadChallenge         a 402 that must not be paid
|- BadLogin             a sign-in request that must not be signed
|- OutcomeUnknown       signed bytes left, and nothing proves what became of them
|- LedgerError          the ledger cannot be used
|  |- LedgerBusy            another process holds it
|- ChainError           no RPC host gave a usable answer
"""

import re
from enum import StrEnum

from seedance_mcp.money import dollars

_WORD = re.compile(r"[a-z][a-z'-]*[,.:;]?(?=\s|$)")


class Money(StrEnum):
    """What happened to the money when an error ended a call."""

    NOTHING = "nothing"
    CHARGED = "charged"
    UNKNOWN = "unknown"


UNKNOWN_OUTCOME = (
    "The payment's outcome is not known yet; it counts against the budget; do not buy again, call check_job."
)


class SeedanceError(Exception):
    """The base.

    ``what`` is the failure in one sentence, ``next`` the next useful call or act in one sentence (may be empty),
    ``charged`` the micro-dollars that left in this call, ``code`` a word for programs.
    """

    code = "failed"
    next = ""

    def __init__(
        self,
        what: str,
        *,
        next: str | None = None,  # noqa: A002 - the name in the tools' contract
        money: Money = Money.NOTHING,
        charged: int = 0,
        purchase_id: str | None = None,
        code: str | None = None,
    ) -> None:
        self.what = what
        self.next = type(self).next if next is None else next
        self.charged = charged
        self.purchase_id = purchase_id
        self.code = type(self).code if code is None else code
        self._money = money
        super().__init__(what)

    @property
    def money(self) -> Money:
        return Money.CHARGED if self.charged and self._money is Money.NOTHING else self._money

    @property
    def fate(self) -> str:
        """The sentence about the money."""
        if self.money is Money.UNKNOWN:
            return UNKNOWN_OUTCOME
        return f"{dollars(self.charged)} was charged." if self.charged else "Nothing was charged."

    def __str__(self) -> str:
        return " ".join(part for part in (sentence(self.what), self.fate, sentence(self.next)) if part)


class InvalidArgument(SeedanceError):
    code = "invalid_argument"
    next = "Call again with that argument changed."


class InvalidSettings(SeedanceError):
    code = "invalid_settings"


class InvalidPolicy(SeedanceError):
    code = "invalid_policy"


class InvalidImage(SeedanceError):
    code = "invalid_image"
    next = "Call again with another image."


class NoWallet(SeedanceError):
    code = "no_wallet"
    next = (
        "Ask the operator to run `seedance-mcp init` or `seedance-mcp wallet new`, or to set SEEDANCE_PRIVATE_KEY, and "
        "to fund the address."
    )


class Refused(SeedanceError):
    code = "refused"


class NotFound(SeedanceError):
    code = "not_found"


class StudioError(SeedanceError):
    code = "studio_error"


class StudioUnavailable(StudioError):
    code = "studio_unavailable"
    next = "Call again in a minute."


class StudioRejected(StudioError):
    code = "studio_rejected"


class BadChallenge(SeedanceError):
    code = "bad_challenge"
    next = "Do not retry; tell the operator."


class BadLogin(SeedanceError):
    code = "bad_login"
    next = "Do not retry; tell the operator."


class OutcomeUnknown(SeedanceError):
    code = "payment_unknown"

    def __init__(self, what: str, *, purchase_id: str) -> None:
        super().__init__(
            what,
            next=f"Call check_job with purchase_id {purchase_id}; repeating the very same call is safe too, since it "
            "sends the same bytes again and never pays twice.",
            money=Money.UNKNOWN,
            purchase_id=purchase_id,
        )


class LedgerError(SeedanceError):
    code = "ledger_error"
    next = "Ask the operator to run `seedance-mcp spend` and to look at the ledger."


class LedgerBusy(LedgerError):
    code = "ledger_busy"
    next = "Call again; the same request is never paid twice."


class ChainError(SeedanceError):
    code = "chain_error"
    next = "Call again in a minute."


def sentence(text: str) -> str:
    """``text`` with a full stop, unless it ends a sentence already."""
    text = text.strip()
    return text if text.endswith((".", "!", "?")) or not text else f"{text}."


def capitalised(text: str) -> str:
    """``text`` as a sentence begins, unless it begins with a name such as ``quote_id`` or an address."""
    return text[:1].upper() + text[1:] if _WORD.match(text) else text
