from dataclasses import dataclass
from typing import Literal


@dataclass(slots=True, kw_only=True)
class Faults:
    """What the seller does wrong from now on. Every switch may be thrown while the sandbox runs, and they combine."""

    answer: Literal["normal", "lost", "hang"] = "normal"
    """The answer to a paid request: sent, lost with its connection, or withheld until the client leaves."""

    after_settlement: Literal[402, 500] | None = None
    """The status told to a client whose payment has just been settled."""

    uploads: bool = True
    """False: only what is sold as a clip goes wrong. Looked at as the sandbox starts."""

    settle: bool = True
    """False: the job is made, the answer is 500 ``Settlement failed``, nothing is debited."""

    receipt: bool = True
    """False: neither ``PAYMENT-RESPONSE`` nor ``Payment-Receipt`` on any answer."""

    slow_ms: int = 0
    """Milliseconds between the settlement and its answer."""

    redirect: bool = False
    """307 to another path for a request that carries a credential; the credential is not used."""

    job: Literal["ok", "failed", "stuck"] = "ok"
    """What becomes of a job that is made from now on."""

    dead_link: bool = False
    """404 for every clip and thumbnail."""

    quote_extra: int = 0
    """Micro-USD on top of every amount in a challenge."""

    pay_to: str | None = None
    network: str | None = None
    asset: str | None = None
    """What the challenges of both rails name in the place of the real one; ``network`` is a CAIP-2 name."""
