"""A seller that does whatever it is told to, over x402 and MPP; it remembers every request.

What is not told is done honestly, so that each test names just the one thing that is wrong. Nothing here knows the
product: it is all read from the wire.
"""

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from io import BytesIO
from itertools import count
from types import EllipsisType
from typing import Any

import rlp  # type: ignore[import-untyped]  # it carries no annotations
from PIL import Image

from tests.attacks.wire import Fate, Recorder, Reply, Seen, opened, serve
from tests.payment.examples import EXPIRES, document, encoded, entry, login, url_safe
from tests.studio.schemas import FIRST, openapi

PAY_TO = "0x07F067959297767c887dbfA3C72379c66E82a045"
RATES = {"seedance": 82_500, "seedance-fast": 10_000}
"""Micro-USD for a second, as generation 1 is sold."""
UPLOAD = 10_000
BLOB_SECRET = "blob-token-secret-4f1c9be07d"
"""Stands inside of every client token."""

CLIP = b"".join(
    (8 + len(body)).to_bytes(4) + kind + body
    for kind, body in ((b"ftyp", b"isom"), (b"moov", b"m" * 40), (b"mdat", b"d" * 400))
)
"""The boxes of a video, with nothing in them."""


_PAYMENT_REQUIRED = Reply(402)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conduct:
    """What the seller does. Changes to documents are as in ``tests.payment.examples``: ``...`` leaves a key out.

    ``offers`` are changes to an honest entry of ``accepts``, one each; ``turns`` change the first of them again for
    each challenge on a clip's route in turn, the last one for all that follow. ``required`` replaces the whole
    PAYMENT-REQUIRED header, None sends none; ``charges`` are values of WWW-Authenticate. ``paid`` answers a credential
    in place of the goods, ``receipt`` changes its PAYMENT-RESPONSE (None: there is none). ``routes`` answer what they
    name ("GET /openapi.json") before anything else does. A ``late`` clock is in seconds, None sends no Date.
    """

    offers: Sequence[Mapping[str, Any]] = ({},)
    turns: Sequence[Mapping[str, Any]] = ()
    challenge: Mapping[str, Any] = field(default_factory=dict)
    required: str | EllipsisType | None = ...
    charges: Sequence[str] = ()
    demand: Reply = _PAYMENT_REQUIRED
    paid: Reply | Fate | None = None
    receipt: Mapping[str, Any] | None = field(default_factory=dict)
    goods: Mapping[str, Any] = field(default_factory=dict)
    job: Mapping[str, Any] = field(default_factory=dict)
    login: Reply | None = None
    routes: Mapping[str, Reply | Fate] = field(default_factory=dict)
    late: int | None = 0


HONEST = Conduct()


class Hostile(Recorder):
    """``origin`` is where it is served; ``clock`` (epoch milliseconds) dates its answers.

    ``files`` are served under their path. ``before_goods`` is called when a credential has arrived, before it is
    answered.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        super().__init__(self._dated)
        self.origin = ""
        self.clock = clock
        self.conduct = HONEST
        self.files: dict[str, Reply] = {"/pictures/lake.png": Reply(body=picture(), headers=PNG)}
        self.before_goods: Callable[[str], object] | None = None
        self.jobs: dict[str, dict[str, Any]] = {}
        self._challenges = 0
        self._numbers = count(1)

    def behave(self, conduct: Conduct = HONEST) -> None:
        """Change the conduct, and begin with its first turn."""
        self.conduct, self._challenges, self.before_goods = conduct, 0, None

    @property
    def image(self) -> str:
        """The URL of a picture on its own host."""
        return f"{self.origin}/pictures/lake.png"

    @property
    def credentials(self) -> list[str]:
        """Every credential of either rail, as often as it arrived."""
        return [seen.credential for seen in self.requests if seen.credential is not None]

    @property
    def authorizations(self) -> list[dict[str, Any]]:
        """What the distinct x402 credentials authorize."""
        distinct = dict.fromkeys(one for one in self.credentials if " " not in one)
        return [opened(one)["payload"]["authorization"] for one in distinct]

    @property
    def transfers(self) -> list[dict[str, Any]]:
        """What the distinct MPP credentials transfer."""
        return [transfer_of(one) for one in dict.fromkeys(one for one in self.credentials if " " in one)]

    @property
    def takeable(self) -> int:
        """Micro-USD that it could take, if it were as greedy as can be: one transfer for each nonce and memo."""
        on_base: dict[str, int] = {one["nonce"]: int(one["value"]) for one in self.authorizations}
        on_tempo: dict[bytes, int] = {one["memo"]: one["amount"] for one in self.transfers}
        return sum(on_base.values()) + sum(on_tempo.values())

    def asked(self, path: str) -> list[Seen]:
        return [seen for seen in self.requests if seen.path == path]

    async def _dated(self, seen: Seen) -> Reply | Fate:
        answer = self._answer(seen)
        if not isinstance(answer, Reply) or self.conduct.late is None:
            return answer
        date = formatdate(self.clock() // 1000 - self.conduct.late, usegmt=True)
        headers = (("Date", date), *answer.headers)
        return Reply(answer.status, answer.body, headers, answer.forever, answer.stalls)

    def _answer(self, seen: Seen) -> Reply | Fate:
        if (told := self.conduct.routes.get(f"{seen.method} {seen.path}")) is not None:
            return told
        match seen.method, seen.path.split("/")[1:]:
            case "GET", ["openapi.json"]:
                return Reply(body=openapi(FIRST, "seedance") | {"paths": _paths()})
            case "POST", ["api", "generate", ("seedance" | "seedance-fast"), "i2v"] | ["api", "upload"]:
                return self._sell(seen)
            case "POST", ["api", "upload", "confirm"]:
                url = json.loads(seen.body)["blobUrl"]
                return self._signed_in(seen, {"success": True, "upload": {"id": "u", "blobUrl": url}})
            case "GET", ["api", "jobs"]:
                return self._signed_in(seen, {"jobs": [self._job(name) for name in self.jobs]})
            case "GET", ["api", "jobs", name] if name in self.jobs:
                return self._signed_in(seen, self._job(name))
            case "PUT", ["blob", ""]:
                return self._store(seen)
            case "GET" | "HEAD", ["files", _]:
                return Reply(body=CLIP, headers=(("Content-Type", "video/mp4"),))
            case "GET" | "HEAD", _ if seen.path in self.files:
                return self.files[seen.path]
        return Reply(404, {"error": "not found"})

    def _sell(self, seen: Seen) -> Reply | Fate:
        if seen.credential is None:
            return self._demand(seen)
        goods = self._goods(seen)
        if self.before_goods is not None:
            self.before_goods(seen.credential)
        return goods if self.conduct.paid is None else self.conduct.paid

    def _demand(self, seen: Seen) -> Reply:
        told = self.conduct
        headers = [*told.demand.headers, *(("WWW-Authenticate", charge) for charge in told.charges)]
        if told.required is not None:
            required = encoded(self._challenge(seen)) if told.required is ... else told.required
            headers.append(("PAYMENT-REQUIRED", required))
        return Reply(told.demand.status, told.demand.body, headers, told.demand.forever, told.demand.stalls)

    def _challenge(self, seen: Seen) -> dict[str, Any]:
        told = self.conduct
        honest = {"amount": str(self.price(seen)), "payTo": PAY_TO.lower()}
        offers = [honest | dict(changes) for changes in told.offers]
        if told.turns and seen.path != "/api/upload":
            offers[0] |= told.turns[min(self._challenges, len(told.turns) - 1)]
            self._challenges += 1
        changes = {"resource": {"url": self.origin + seen.path}} | dict(told.challenge)
        return document(*(entry(**offer) for offer in offers), **changes)

    def price(self, seen: Seen) -> int:
        """The honest one, in micro-USD."""
        if seen.path == "/api/upload":
            return UPLOAD
        return RATES[seen.path.split("/")[3]] * int(json.loads(seen.body).get("duration", 5))

    def _goods(self, seen: Seen) -> Reply:
        number = next(self._numbers)
        if seen.path == "/api/upload":
            goods = self._ticket(number)
        else:
            kind, job_id = f"{seen.path.split('/')[3]}-i2v", f"job-{number}"
            created = formatdate(self.clock() / 1000)
            self.jobs[job_id] = {"id": job_id, "type": kind, "input": json.loads(seen.body), "createdAt": created}
            goods = {"success": True, "jobId": job_id, "status": "pending", "type": kind}
        goods = _without(goods | dict(self.conduct.goods))
        receipt, credential = self.conduct.receipt, seen.credential or ""
        made = mpp_receipt if " " in credential else paid_receipt
        return Reply(body=goods, headers=() if receipt is None else (made(credential, **receipt),))

    def _ticket(self, number: int) -> dict[str, Any]:
        grant = {"validUntil": self.clock() + 300_000, "maximumSizeInBytes": 30_000_000}
        sealed = base64.b64encode(json.dumps(grant).encode())
        token = base64.b64encode(BLOB_SECRET.encode() + b"." + sealed).decode()
        return {
            "uploadId": f"u{number}",
            "clientToken": f"vercel_blob_client_store_{token}",
            "pathname": f"uploads/{number}.jpg",
        }

    def _store(self, seen: Seen) -> Reply:
        number = next(self._numbers)
        self.files[f"/stored/{number}.jpg"] = Reply(body=seen.body, headers=(("Content-Type", "image/jpeg"),))
        return Reply(body={"url": f"{self.origin}/stored/{number}.jpg"})

    def _signed_in(self, seen: Seen, document: object) -> Reply:
        if self.conduct.login is not None:
            return self.conduct.login
        if "sign-in-with-x" not in seen.headers:
            host = self.origin.removeprefix("http://")
            asked = login(domain=host, uri=self.origin + seen.path, expirationTime=...)
            return Reply(402, headers=(("PAYMENT-REQUIRED", encoded(asked)),))
        return Reply(body=document)

    def _job(self, name: str) -> dict[str, Any]:
        links = {"videoUrl": f"{self.origin}/files/{name}.mp4"}
        return _without(self.jobs[name] | {"status": "complete", "result": links} | dict(self.conduct.job))


@asynccontextmanager
async def open_shop(clock: Callable[[], int]) -> AsyncIterator[Hostile]:
    seller = Hostile(clock)
    async with serve(seller) as origin:
        seller.origin = origin
        yield seller


def paid_receipt(credential: str, **changes: Any) -> tuple[str, str]:
    """The PAYMENT-RESPONSE header that a settled ``credential`` gets, with changes."""
    transaction = "0x" + hashlib.sha256(credential.encode()).hexdigest()
    receipt = {"success": True, "transaction": transaction, "network": "eip155:8453"} | changes
    return "PAYMENT-RESPONSE", encoded(_without(receipt))


def mpp_receipt(credential: str, **changes: Any) -> tuple[str, str]:
    """The Payment-Receipt header that a settled ``credential`` of MPP gets, with changes."""
    reference = "0x" + hashlib.sha256(credential.encode()).hexdigest()
    receipt = {"method": "tempo", "reference": reference, "status": "success", "timestamp": EXPIRES} | changes
    return "Payment-Receipt", url_safe(_without(receipt))


def transfer_of(credential: str) -> dict[str, Any]:
    """What a signed Tempo transaction moves: its one call, read from its bytes (pinned to the layout of Tempo's type
    0x76, or 0x78 where the seller has still to sign for the fee)."""
    raw = bytes.fromhex(opened(credential)["payload"]["signature"][2:])
    assert raw[:1] in (b"\x76", b"\x78")
    chain_id, _, max_fee, gas_limit, calls, _, _, _, valid_before, *_ = rlp.decode(raw[1:])
    ((token, value, data),) = calls
    assert (value, data[:4].hex()) == (b"", "95777d59")
    return {
        "chain": int.from_bytes(chain_id),
        "token": "0x" + token.hex(),
        "to": "0x" + data[16:36].hex(),
        "amount": int.from_bytes(data[36:68]),
        "memo": data[68:100],
        "until": int.from_bytes(valid_before),
        "fee": int.from_bytes(gas_limit) * int.from_bytes(max_fee) // 10**12,
    }


def picture(size: tuple[int, int] = (640, 360)) -> bytes:
    file = BytesIO()
    Image.new("RGB", size, (30, 90, 160)).save(file, "PNG")
    return file.getvalue()


PNG = (("Content-Type", "image/png"),)


def _paths() -> dict[str, Any]:
    return {path: one for model in RATES for path, one in openapi(FIRST, model)["paths"].items()}


def _without(changed: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in changed.items() if value is not ...}
