"""``spend --by day`` on a large ledger, next to the bare SQL of the same sums."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter_ns

import anyio
import apsw
import click
from bench_client import print_times

from seedance_mcp.ledger.sqlite import SQLite

YEAR = 365 * 86_400_000
FIRST = 1_735_689_600_000
"""1 January 2025, epoch milliseconds."""
MODELS, AGENTS = ("seedance", "seedance-fast", "upload"), ("storyboard", "trailer", "default")
BODY = json.dumps({"prompt": "a slow camera move over a misty valley at dawn " * 3, "imageUrl": "https://a.example/b"})

BARE = """
SELECT date(reserved_at / 1000, 'unixepoch') AS day, count(*),
       sum(CASE WHEN state = 'settled' THEN amount END), sum(CASE WHEN state = 'claimed' THEN amount + fee END),
       sum(CASE WHEN state NOT IN ('settled', 'claimed') THEN amount + fee END),
       sum(CASE WHEN state = 'settled' THEN fee END), sum(seconds)
FROM payments WHERE state NOT IN ('intended', 'released', 'expired') GROUP BY 1"""
BARE_PROGRAM = "import apsw, sys; print(len(list(apsw.Connection(sys.argv[1]).execute(sys.argv[2]))))"


def measure_reports(entries: int, runs: int) -> float:
    """Print the figures; the median of the pairwise ratios. Both are whole processes."""
    with TemporaryDirectory(prefix="seedance-bench-") as name:
        ledger = Path(name) / "ledger.db"
        write_ledger(ledger, entries)
        click.echo(f"a ledger of {entries:,} entries, {ledger.stat().st_size // 2**20:,} MiB")
        environment = {**os.environ, "SEEDANCE_LEDGER": f"sqlite:{ledger}", "TZ": "UTC"}
        ours = [sys.executable, "-m", "seedance_mcp", "spend", "--by", "day", "--csv"]
        bare = [sys.executable, "-c", BARE_PROGRAM, str(ledger), BARE]
        run(bare, environment)  # warms the file's pages for both
        timed = [(run(ours, environment), run(bare, environment)) for _ in range(runs)]
    rows = {"seedance-mcp spend --by day": [pair[0] for pair in timed], "bare SQL": [pair[1] for pair in timed]}
    print_times(f"spend by day, {runs} pairs", rows)
    ratio = median(product / least for product, least in timed)
    click.echo(f"median of the pairwise ratios: {ratio:.2f}")
    return ratio


def run(command: list[str], environment: dict[str, str]) -> int:
    """Nanoseconds that a command takes."""
    began = perf_counter_ns()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return perf_counter_ns() - began


def write_ledger(path: Path, entries: int) -> None:
    """Spread over a year. Most are settled; some are claimed, expired or open; two of three are clips."""
    anyio.run(_make, path)
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA synchronous = OFF; PRAGMA cache_size = -400000")
    with connection:
        connection.executemany(
            "INSERT INTO purchases (id, key, subject, agent, model, take, generation, request, created_at, closed)"
            " VALUES (?, ?, ?, ?, ?, 1, 1, ?, ?, 1)",
            _purchases(entries),
        )
        connection.executemany(
            "INSERT INTO payments (purchase, attempt, serial, state, owner, agent, model, rail, network, token, origin,"
            " payer, pay_to, amount, fee, policy, nonce, deadline, path, body, transaction_hash, reserved_at, sent_at,"
            " ended_at, counted_at) VALUES (?, 1, 0, ?, '', ?, ?, ?, 'eip155:8453', '0xtoken', 'https://seller.example',"
            " '0xpayer', '0xrecipient', 360000, ?, 'digest', ?, 1, '/api/generate', ?, ?, ?, 1, 1, ?)",
            _payments(entries),
        )
        connection.executemany(
            "INSERT INTO jobs (id, purchase, status, found_at, updated_at) VALUES (?, ?, 'complete', 1, 1)",
            ((f"job-{n}", _id(n)) for n in range(entries) if n % 3 != 2 and _state(n) in {"settled", "claimed"}),
        )
        connection.execute("UPDATE jobs SET video_path = '/videos/' || id || '.mp4'")
    connection.close()


async def _make(path: Path) -> None:
    await (await SQLite.open(path, "real")).close()


def _purchases(entries: int) -> Iterator[tuple[object, ...]]:
    for n in range(entries):
        key = sha256(b"key %d" % n).digest()
        request = {"prompt": f"a slow camera move {n}", "images": [{"sha256": key.hex()}], "duration": 5, "seed": None}
        yield (_id(n), key, key, AGENTS[n % 3], MODELS[n % 3], json.dumps(request), FIRST + n * YEAR // entries)


def _payments(entries: int) -> Iterator[tuple[object, ...]]:
    for n in range(entries):
        at, nonce = FIRST + n * YEAR // entries, sha256(b"nonce %d" % n).digest()
        rail, fee = ("mpp", 1_500) if n % 4 == 0 else ("x402", 0)
        yield (_id(n), _state(n), AGENTS[n % 3], MODELS[n % 3], rail, fee, nonce, BODY, "0x" + nonce.hex(), at, at)


def _state(n: int) -> str:
    return "claimed" if n % 50 == 0 else "expired" if n % 40 == 2 else "unknown" if n % 5000 == 1 else "settled"


def _id(n: int) -> str:
    return f"pur_{sha256(b'%d' % n).hexdigest()[:16]}"
