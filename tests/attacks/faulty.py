"""A server with a fault of its own at one place: ``python -m tests.attacks.faulty post``.

But for that it is ``seedance-mcp serve``. The fault comes where secrets are in hand, and its error quotes none.
"""

import sys
from typing import Any, NoReturn

from seedance_mcp.cli import main
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.studio.client import Studio


class InjectedError(RuntimeError):
    pass


def fail(*_: Any, **__: Any) -> NoReturn:
    raise InjectedError("injected")


def break_at(place: str) -> None:
    match place:
        case "sign":
            Wallet.sign_digest = fail  # type: ignore[method-assign]
        case "post":
            post = Studio.post

            async def paid_fails(self: Studio, path: str, body: bytes, headers: Any = None) -> Any:
                return fail() if headers else await post(self, path, body, headers)

            Studio.post = paid_fails  # type: ignore[method-assign]
        case "open":
            Studio.__init__ = fail  # type: ignore[method-assign]


if __name__ == "__main__":
    break_at(sys.argv[1])
    main(["serve"])
