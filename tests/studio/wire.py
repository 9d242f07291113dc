"""A peer on loopback that answers with the very bytes it was given."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener


@dataclass
class Peer:
    """``requests`` are raw, head and body. An answer of None leaves the client waiting, ``hold`` does so after each."""

    answers: list[bytes | None]
    hold: bool = False
    requests: list[bytes] = field(default_factory=list)
    origin: str = ""

    @property
    def host(self) -> str:
        return self.origin.removeprefix("http://")

    async def answer(self, stream: ByteStream) -> None:
        async with stream:
            try:
                self.requests.append(await _request(stream))
                answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
                if answer is not None:
                    await stream.send(answer)
                if self.hold or answer is None:
                    await anyio.sleep_forever()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                pass  # the client had read enough


@asynccontextmanager
async def peer(*answers: bytes | None, hold: bool = False, tls: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    """Serves ``answers`` in turn, the last one again and again, one connection each."""
    tcp = await anyio.create_tcp_listener(local_host="127.0.0.1")
    listener = TLSListener(tcp, tls, standard_compatible=False) if tls else tcp
    server = Peer(list(answers), hold)
    server.origin = f"http://127.0.0.1:{tcp.extra(SocketAttribute.local_port)}"
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, server.answer)
        yield server
        group.cancel_scope.cancel()


def reply(status: int, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    """An HTTP/1.1 answer; ``length`` is what it says of its body."""
    size = len(body) if length is None else length
    head = [f"HTTP/1.1 {status} .", f"content-length: {size}", "connection: close", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


async def _request(stream: ByteStream) -> bytes:
    data = b""
    while True:
        data += await stream.receive()
        head, found, body = data.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        sizes = [int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")]
        if found and len(body) >= sum(sizes):
            return data
