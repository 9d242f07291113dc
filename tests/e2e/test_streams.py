"""Standard output is the protocol's alone, and no secret leaves by standard error or into the ledger."""

import json
from base64 import b64decode

from tests.e2e.home import KEY, Home
from tests.e2e.raw import RawServer
from tests.e2e.shop import Shop


async def test_nothing_but_protocol_on_stdout_and_no_secret_anywhere(shop: Shop, home: Home) -> None:
    picture = shop.picture()
    with RawServer(home.having(AGENT="raw")) as server:
        server.ask("tools/list")
        bought = server.call("generate_video", prompt="waves", image=picture)["structuredContent"]
        server.call("check_job", job_id=bought["job_id"], wait_seconds=50)
        assert server.call("generate_video", prompt="waves", image="ftp://nowhere", duration=99)["isError"]
        assert server.call("upload_image", nonsense=True)["isError"]
        assert "error" in server.ask("no/such/method")
        shop.sandbox.faults.after_settlement = 500
        server.call("generate_video", prompt="more waves", image=picture)
        assert server.close() == 0
        said = b"".join(server.lines).decode()

    for line in server.lines:
        message = json.loads(line)
        assert message["jsonrpc"] == "2.0"
        assert {"method", "result", "error"} & message.keys()

    signatures = [json.loads(b64decode(one))["payload"]["signature"] for one in shop.credentials]
    assert len(signatures) == 2
    hexadecimal = [secret.removeprefix("0x") for secret in (KEY, *signatures)]
    told = said + home.stderr.read_text()
    ledger = b"".join(file.read_bytes() for file in home.ledger.parent.rglob("*") if file.is_file())
    for text in (*hexadecimal, *shop.credentials):
        assert text.lower() not in told.lower()
        assert text.lower().encode() not in ledger.lower()
    for secret in hexadecimal:
        assert bytes.fromhex(secret) not in ledger


async def test_the_only_words_on_stderr_warn_of_the_key(shop: Shop, home: Home) -> None:
    with RawServer(home) as server:
        server.call("generate_video", prompt="waves", image=shop.picture())
        server.close()
    (line,) = home.stderr.read_text().splitlines()
    assert line.startswith("seedance-mcp: SEEDANCE_PRIVATE_KEY is set")
