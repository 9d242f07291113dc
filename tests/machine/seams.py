from enum import StrEnum


class Seam(StrEnum):
    """Where a process meets the world, and can be stopped or die."""

    WRITE = "before a transaction"
    ASK_PRICE = "before it asks for a price"
    SEND = "before signed bytes leave"
    READ_ANSWER = "before it reads the answer to them"
    ASK_CHAIN = "before a question to the chain"
    LIST_JOBS = "before it lists the seller's jobs"


class Fault(StrEnum):
    NONE = "none"
    BUSY = "the ledger is busy"
    FROZEN = "the operator freezes purchases, and unfreezes them later"


class Killed(BaseException):
    """The process is gone: nothing of it runs any more, no clean-up either."""
