"""One warm purchase over stdio, next to its HTTP requests sent raw; and where the time goes."""

import base64
import io
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter_ns
from typing import Self

import anyio
import click
import httpx
from bench_client import Server, environment, print_times
from bench_spending import Spending, spending
from PIL import Image

from seedance_mcp.app import App, open_app
from seedance_mcp.clip_order import ClipOrder
from seedance_mcp.payment import x402
from seedance_mcp.payment.challenge import parse_challenge
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.settings import Settings

WARM_UPS = 3
MODEL = "seedance-fast"
VALIDITY = 120
POLICY = """\
version = 1
[caps]
per_payment = "1.00"
per_hour = "1000000"
per_day = "1000000"
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """One request of a purchase, as the seller saw it; its bytes as Latin-1."""

    method: str
    path: str
    body: str
    status: int


@dataclass(frozen=True, slots=True)
class Measured:
    """The same purchase three ways, in nanoseconds; ``inside`` is the product without MCP, taken apart."""

    stdio: int
    raw: int
    requests: int
    inside: Spending


class Seller:
    """The sandbox in another process, so that its work is not done by the process that is measured."""

    def __init__(self, address: str, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench_seller", address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent,
            env=environment(folder),
        )
        self.origin = self._line()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def seen(self) -> list[Sent]:
        """The requests since the last call, reads of the chain too; what is asked about jobs is not among them."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return [Sent(**request) for request in json.loads(self._line())]

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise click.ClickException("the seller ended")
        return line


def measure_purchases(pairs: int) -> None:
    """Print the figures."""
    key = secrets.token_hex(32)
    wallet = Wallet.from_hex(key)
    with TemporaryDirectory(prefix="seedance-bench-") as name, Seller(wallet.address, Path(name)) as seller:
        folder = Path(name)
        settings = written_settings(folder, seller.origin, key)
        with Server(("seedance_mcp", "serve"), folder, **settings) as server:
            server.initialize()
            measured = anyio.run(measure, server, seller, wallet, environment(folder) | settings, pairs)
    print_figures(measured)


def written_settings(folder: Path, origin: str, key: str) -> dict[str, str]:
    policy = folder / "policy.toml"
    policy.write_text(POLICY)
    policy.chmod(0o600)
    return {
        "SEEDANCE_STUDIO_URL": origin,
        "SEEDANCE_BLOB_URL": f"{origin}/blob/",
        "SEEDANCE_BASE_RPC_URL": f"{origin}/rpc",
        "SEEDANCE_TEMPO_RPC_URL": f"{origin}/rpc/tempo",
        "SEEDANCE_PRIVATE_KEY": key,
        "SEEDANCE_POLICY": str(policy),
        "SEEDANCE_LEDGER": f"sqlite:{folder / 'stdio.db'}",
        "SEEDANCE_OUTPUT_DIR": str(folder / "clips"),
    }


async def measure(
    server: Server, seller: Seller, wallet: Wallet, environ: dict[str, str], pairs: int
) -> list[Measured]:
    """Purchases by turns over stdio, raw and inside this process, so that a slow moment slows all three."""
    # With one ledger for both the server would watch the jobs of the app here too; and as one agent they would buy the
    # same purchases, which have the same nonces whatever the ledger.
    environ |= {"SEEDANCE_LEDGER": environ["SEEDANCE_LEDGER"].replace("stdio", "inside"), "SEEDANCE_AGENT": "inside"}
    picture = drawn()
    image = server.call("upload_image", data=base64.b64encode(picture).decode())["image_url"]
    measured = []
    with httpx.Client(base_url=seller.origin, trust_env=False) as http:
        async with open_app(Settings.from_env(environ)) as app:
            hosted = await app.uploads.host(await app.uploads.read(picture))
            for number in range(WARM_UPS + pairs):
                seller.seen()
                stdio, job = over_stdio(server, f"clip {number}", image)
                requests = seller.seen()
                # Until the watcher has seen the job's end it would disturb what is timed next.
                server.call("check_job", job_id=job, wait_seconds=50)
                raw = replay(http, requests, wallet)
                inside = await within(app, f"clip {number}", hosted.url)
                measured.append(Measured(stdio, raw, len(requests), inside))
    return measured[WARM_UPS:]


def drawn() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (1280, 720), "teal").save(file, "PNG")
    return file.getvalue()


def over_stdio(server: Server, prompt: str, image: str) -> tuple[int, str]:
    """The time, and the job's id."""
    began = perf_counter_ns()
    bought = server.call("generate_video", prompt=prompt, image=image, model=MODEL)
    return perf_counter_ns() - began, bought["job_id"]


def replay(http: httpx.Client, requests: Sequence[Sent], wallet: Wallet) -> int:
    """The time of the same requests, signed anew before the clock starts."""
    prepared = [(request, headers(http, request, wallet)) for request in requests]
    began = perf_counter_ns()
    answers = [
        http.request(request.method, request.path, content=request.body.encode("latin-1"), headers=sent)
        for request, sent in prepared
    ]
    took = perf_counter_ns() - began
    if [answer.status_code for answer in answers] != [request.status for request in requests]:
        raise click.ClickException("the seller answers the raw requests differently")
    return took


def headers(http: httpx.Client, request: Sent, wallet: Wallet) -> dict[str, str]:
    """A paid request gets a new authorization, since the seller takes none twice."""
    plain = {"content-type": "application/json"}
    if request.status != 200 or not request.path.startswith("/api/generate/"):
        return plain
    unpaid = http.post(request.path, content=request.body.encode("latin-1"), headers=plain)
    challenge = parse_challenge(dict(unpaid.headers), unpaid.content, str(unpaid.url))
    deadline = int(time.time()) + VALIDITY
    offer = challenge.require_offer()[0]
    credential = x402.sign(wallet, challenge, offer, nonce=os.urandom(32), valid_before=deadline)
    return plain | {credential.header: credential.value}


async def within(app: App, prompt: str, image: str) -> Spending:
    """What the tool does behind its MCP surface."""
    order = ClipOrder(prompt=prompt, image=image, model=MODEL)
    with spending() as spent:
        await app.clips.generate(order)
        await app.clips.budget(MODEL)
    return spent


def print_figures(measured: Sequence[Measured]) -> None:
    requests = median(one.requests for one in measured)
    rows = {
        "generate_video over stdio": [one.stdio for one in measured],
        f"its {requests:.0f} HTTP requests, raw": [one.raw for one in measured],
        "the same in this process, without MCP": [one.inside.whole for one in measured],
    }
    print_times(f"one warm purchase, {len(measured)} rounds", rows)
    stdio, raw, _ = (median(times) for times in rows.values())
    click.echo(f"stdio to raw, ratio of the medians: {stdio / raw:.2f}")
    click.echo(f"{'where its time goes, medians':<42}{'count':>9}{'ms':>9}")
    insides = [one.inside for one in measured]
    for name in insides[0].parts:
        parts = [inside.parts[name] for inside in insides]
        print_part(name, [part.time for part in parts], f"{median(part.count for part in parts):.0f}")
    print_part("everything else behind the MCP surface", [inside.rest for inside in insides])
    print_part("MCP, stdio and the watcher", [one.stdio - one.inside.whole for one in measured])


def print_part(name: str, times: Sequence[int], count: str = "") -> None:
    click.echo(f"  {name:<40}{count:>9}{median(times) / 1e6:9.1f}")
