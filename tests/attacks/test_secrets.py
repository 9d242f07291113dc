"""Whatever happens, no secret is written or said anywhere, in any spelling."""

import base64
import json
import logging
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
from eth_keyfile.keyfile import create_keyfile_json
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.attacks.hostile import BLOB_SECRET, Conduct, Hostile, open_shop
from tests.attacks.target import Clock, Target, settle_down, wall_clock
from tests.attacks.wire import Reply, opened
from tests.e2e.home import KEY, Agent, Home
from tests.e2e.raw import RawServer

ROOT = Path(__file__).parents[2]
PASSWORD = "correct horse battery staple 7f3a"
KEY_BYTES = bytes.fromhex(KEY[2:])


def secrets_of(seller: Hostile) -> dict[str, bytes]:
    """By name: what was known beforehand, and what arrived at the seller."""
    known = {"key": KEY_BYTES, "password": PASSWORD.encode(), "blob token": BLOB_SECRET.encode()}
    for number, seen in enumerate(seller.requests):
        proof, bearer = seen.headers.get("sign-in-with-x"), seen.headers.get("authorization", "")
        for name, header in (("proof", proof), ("credential", seen.credential)):
            if header is not None:
                document = opened(header)
                signature = document.get("signature") or document["payload"]["signature"]
                known |= {f"{name} {number}": header.encode(), f"its signature {number}": bytes.fromhex(signature[2:])}
        if bearer.startswith("Bearer "):
            known[f"bearer {number}"] = bearer.removeprefix("Bearer ").encode()
    return known


def spellings(secret: bytes) -> Iterator[str]:
    """Text that gives it away: itself, in hex, in base64 of either alphabet at any offset."""
    if secret.isascii() and secret.decode().isprintable():
        yield secret.decode()
    yield secret.hex()
    yield secret.hex().upper()
    for before in range(3):
        padded = bytes(before) + secret
        whole = base64.b64encode(padded).decode().rstrip("=")
        core = whole[(0, 2, 3)[before] : len(padded) * 8 // 6 - (len(padded) % 3 != 0)]
        yield core
        yield core.translate(str.maketrans("+/", "-_"))


def leaks(secrets: dict[str, bytes], said: Iterable[tuple[str, str]]) -> list[str]:
    """Which secret stands where, of the (place, text) pairs."""
    pairs = list(said)
    return [
        f"{name} in {place}"
        for name, secret in secrets.items()
        for place, text in pairs
        if any(spelling in text for spelling in spellings(secret))
    ]


def columns(ledger: Path) -> Iterator[tuple[str, str]]:
    """Every value of every table: texts as they are, blobs as Latin-1 and in hex."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            cursor = database.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in cursor.description]
            for row in cursor:
                for name, value in zip(names, row, strict=True):
                    text = f"{value.hex()} {value.decode('latin-1')}" if isinstance(value, bytes) else str(value)
                    yield f"{table}.{name}", text


def files(folder: Path) -> Iterator[tuple[str, str]]:
    """The raw bytes of every file, and its name."""
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            yield str(path), f"{path} {data.decode('latin-1')} {data.hex()}"


@pytest.mark.parametrize("secret", [KEY_BYTES, PASSWORD.encode(), BLOB_SECRET.encode()])
def test_every_spelling_of_a_secret_would_be_noticed(secret: bytes) -> None:
    document = {"deep": ["inside", secret.hex()]}
    spelled = [secret.decode("latin-1"), secret.hex(), json.dumps(document)]
    for before in (b"", b"a", b"ab", b"abc"):
        spelled.append(base64.b64encode(before + secret + b"after").decode())
        spelled.append(base64.urlsafe_b64encode(before + secret).decode())
    found = leaks({"it": secret}, [(str(number), text) for number, text in enumerate(spelled)])
    assert len(found) >= len(spelled) - 1


def keep_in_keystore(home: Home) -> Home:
    """The key as the README advises: encrypted, with its password in a file."""
    keystore, password = home.folder / "keystore.json", home.folder / "password"
    document = create_keyfile_json(KEY_BYTES, cast("str", PASSWORD.encode()), version=3, kdf="pbkdf2", iterations=1_000)
    keystore.write_text(json.dumps(document))
    password.write_text(f"{PASSWORD}\n")
    for path in (keystore, password):
        path.chmod(0o600)
    return home.lacking("PRIVATE_KEY").having(KEYSTORE=str(keystore), KEYSTORE_PASSWORD_FILE=str(password))


async def test_no_secret_is_in_what_a_server_says_or_keeps(tmp_path: Path) -> None:
    async with open_shop(wall_clock) as seller:
        home = keep_in_keystore(settle_down(tmp_path / "home", seller))
        home.picture()
        clip = {"image": seller.image, "model": "seedance-fast"}
        with RawServer(home) as server:
            server.call("estimate_cost", model="seedance", duration=5, resolution="720p")
            bought = server.call("generate_video", prompt="waves", **(clip | {"image": "lake.png"}))
            server.call("check_job", job_id=bought["structuredContent"]["job_id"], wait_seconds=50)
            server.call("generate_video", prompt=f"waves {KEY}", **clip)
            server.call("generate_video", prompt="waves", image=str(home.folder / "password"))
            server.call("upload_image", path=str(home.folder / "keystore.json"))
            server.call("upload_image", path="lake.png", key=KEY)
            for conduct in (
                Conduct(job={"status": "failed", "error": "no"}),
                Conduct(login=Reply(402)),
                Conduct(routes={"PUT /blob/": Reply(403, {"error": {"code": "forbidden", "message": "no"}})}),
                Conduct(paid=Reply(500)),
            ):
                seller.behave(conduct)
                server.call("generate_video", prompt=f"{conduct}"[:100], **clip)
                server.call("upload_image", path="lake.png")
                server.call("check_job")
            assert server.close() == 0
            said = [("stdout", b"".join(server.lines).decode()), ("stderr", home.stderr.read_text())]
        known = secrets_of(seller)
        assert {name.partition(" ")[0] for name in known} == {
            "key",
            "password",
            "blob",
            "proof",
            "credential",
            "its",
            "bearer",
        }
        # What the agent itself has written into a prompt, it knows.
        said[0] = ("stdout", said[0][1].replace(KEY, ""))
        assert leaks(known, [*said, *columns(home.ledger), *files(home.ledger.parent), *files(home.clips)]) == []


async def test_no_secret_is_in_any_log_record(newcomer: Target, caplog: pytest.LogCaptureFixture) -> None:
    """Not even where somebody has turned on all logging of all libraries."""
    caplog.set_level(logging.DEBUG)
    newcomer.home.picture()
    bought = await newcomer.buys(image="lake.png")
    await newcomer.ends(bought["job_id"])
    newcomer.seller.behave(Conduct(paid=Reply(500)))
    await newcomer.agent.call("generate_video", **newcomer.request(prompt="more waves"))
    known = secrets_of(newcomer.seller)
    del known["blob token"]  # it is the seller's own, and stands in its answer
    records = [
        (record.name, f"{record.getMessage()} {record.exc_text or ''} {record.args}") for record in caplog.records
    ]
    assert records
    assert leaks(known, records) == []


@pytest.mark.parametrize("place", ["sign", "post", "open"])
async def test_no_secret_is_in_the_report_of_a_crash(tmp_path: Path, place: str) -> None:
    async with open_shop(wall_clock) as seller:
        home = keep_in_keystore(settle_down(tmp_path / "home", seller))
        home.picture()
        module = ["-m", "tests.attacks.faulty", place]
        command = StdioServerParameters(command=sys.executable, args=module, env=home.env, cwd=ROOT)
        told = []
        with home.stderr.open("a") as log:
            async with Client(stdio_client(command, errlog=log)) as client:
                agent = Agent(client)
                for tool, arguments in (
                    ("generate_video", {"prompt": "waves", "image": seller.image}),
                    ("upload_image", {"path": "lake.png"}),
                    ("check_job", {}),
                ):
                    answer = await agent.call(tool, **arguments)
                    told.append(("answer", str(answer)))
                    assert "InjectedError: injected" not in str(answer)
                    assert "Traceback" not in str(answer)
        report = home.stderr.read_text()
        assert "InjectedError: injected" in report
        known = secrets_of(seller)
        assert leaks(known, [*told, ("stderr", report), *columns(home.ledger), *files(home.ledger.parent)]) == []


async def test_what_the_ledger_keeps_of_a_live_credential_is_sealed(newcomer: Target, clock: Clock) -> None:
    newcomer.seller.behave(Conduct(paid=Reply(500)))
    await newcomer.agent.call("generate_video", **newcomer.request())
    (row,) = newcomer.payments
    (credential,) = set(newcomer.seller.credentials)
    assert row["sealed"] is not None
    assert credential.encode() not in row["sealed"]
    assert leaks(secrets_of(newcomer.seller), columns(newcomer.home.ledger)) == []
