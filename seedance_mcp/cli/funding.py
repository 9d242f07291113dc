"""After the set-up: waiting for the first deposit, and one real upload as a proof."""

import io
from collections.abc import Awaitable, Callable, Mapping

import anyio

from seedance_mcp.app import open_app, open_rails
from seedance_mcp.checkup.balances import read_balances
from seedance_mcp.errors import NoWallet
from seedance_mcp.settings import Settings
from seedance_mcp.studio.prices import UPLOAD
from seedance_mcp.uploads import Hosted

AGAIN_SECONDS = 5
SIDE = 512


async def wait_for_deposit(
    settings: Settings,
    address: str,
    say: Callable[[str], object],
    *,
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
) -> Mapping[str, int]:
    """The balances in micro-USD by rail, as soon as one of them pays for something. Waits for as long as it takes."""
    async with open_rails(settings, address) as rails:
        silent = False
        while True:
            found = await read_balances(rails, address)
            held = {name: amount for name, amount in found.items() if isinstance(amount, int)}
            if max(held.values(), default=0) >= UPLOAD:
                return held
            if not held and not silent:
                say("No host can be asked for the balance yet; still trying.")
            silent = not held
            await sleep(AGAIN_SECONDS)


async def prove(settings: Settings) -> Hosted:
    """Upload a small picture, with everything that a purchase takes. Raises SeedanceError."""
    async with open_app(settings) as app:
        if app.wallet is None:
            raise NoWallet("the wallet cannot be opened")
        return await app.uploads.host(await app.uploads.read(_picture()), name="seedance-mcp-init.png")


def _picture() -> bytes:
    """The same bytes whenever it is asked for, so that they are paid for once."""
    from PIL import Image  # noqa: PLC0415 - slow to start

    file = io.BytesIO()
    Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB").save(file, "PNG")
    return file.getvalue()
