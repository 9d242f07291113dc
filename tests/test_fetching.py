import os
import ssl
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from seedance_mcp.errors import StudioError, StudioRejected, StudioUnavailable
from seedance_mcp.fetching import Fetcher, is_public
from seedance_mcp.mp4 import is_mp4
from tests.studio.wire import Peer, peer, reply


def box(kind: bytes, body: bytes = b"") -> bytes:
    return (8 + len(body)).to_bytes(4) + kind + body


CLIP = box(b"ftyp", b"isom") + box(b"moov", b"m" * 40) + box(b"mdat", b"d" * 400)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, auth=("never", "sent")) as client:
        yield client


def fetcher(http: httpx.AsyncClient, server: Peer) -> Fetcher:
    return Fetcher(http, frozenset({server.host}))


def resolves(*answers: Sequence[str]) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    """A resolver that gives each of ``answers`` in turn."""
    waiting = list(answers)

    async def resolve(host: str, port: int) -> Sequence[str]:
        return waiting.pop(0)

    return resolve


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "64:ff9b::1.1.1.1"])
def test_addresses_of_the_open_internet_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "172.16.9.9", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
     "240.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1%eth0", "fd00::1", "ff02::1", "2001:db8::1",
     "::ffff:127.0.0.1", "::ffff:1.1.1.1", "64:ff9b::127.0.0.1", "2002:7f00:1::", "2001:0:7f00:1::"],
)  # fmt: skip
def test_addresses_of_this_machine_or_its_network_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "url",
    ["http://public.example/a", "file:///etc/passwd", "ftp://public.example/a", "https://", "https://user:pw@public.example/",
     "//public.example/a", "not a url", "https://public.example:99999/", "data:video/mp4;base64,AA"],
)  # fmt: skip
async def test_anything_but_a_plain_https_url_is_refused_without_asking_anyone(
    http: httpx.AsyncClient, url: str
) -> None:
    with pytest.raises(StudioRejected) as refusal:
        await Fetcher(http, resolve=resolves()).bytes(url, 10)
    assert refusal.value.code == "forbidden_address"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "169.254.169.254"])
async def test_a_name_or_number_of_this_machine_is_refused(http: httpx.AsyncClient, host: str) -> None:
    with pytest.raises(StudioError) as refusal:
        await Fetcher(http).bytes(f"https://{host}/", 10)
    # A spelling that this system's resolver does not know is not reached either.
    assert refusal.value.code == "forbidden_address" or "could not be found" in refusal.value.what


async def test_one_inner_address_among_public_ones_is_enough_to_refuse(http: httpx.AsyncClient) -> None:
    mixed = Fetcher(http, resolve=resolves(["1.1.1.1", "10.0.0.1"]))
    with pytest.raises(StudioRejected) as refusal:
        await mixed.bytes("https://public.example/", 10)
    assert refusal.value.code == "forbidden_address"


async def test_an_allowed_host_must_be_on_loopback(http: httpx.AsyncClient) -> None:
    with pytest.raises(StudioRejected) as refusal:
        await Fetcher(http, frozenset({"peer"}), resolve=resolves(["10.0.0.1"])).bytes("http://peer/", 10)
    assert refusal.value.code == "forbidden_address"


async def test_an_allowed_port_does_not_open_its_neighbours(http: httpx.AsyncClient) -> None:
    async with peer(reply(200, b"x")) as server:
        with pytest.raises(StudioRejected):
            await Fetcher(http, frozenset({"127.0.0.1:1"})).bytes(server.origin, 10)
        assert server.requests == []


async def test_the_checked_address_is_connected_to_whatever_the_name_says_later() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=b"x")

    rebinding = resolves(["93.184.216.34"], ["127.0.0.1"])
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        await Fetcher(client, resolve=rebinding).bytes("https://clips.example/a?b=1", 10)
    assert str(seen[0].url) == "https://93.184.216.34/a?b=1"
    assert seen[0].headers["host"] == "clips.example"
    assert seen[0].extensions["sni_hostname"] == "clips.example"


async def test_the_next_address_is_tried_when_one_does_not_connect() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host != "1.1.1.1":
            raise httpx.ConnectError("unreachable")
        return httpx.Response(200, content=b"x")

    both = resolves(["2606:4700:4700::1111", "1.1.1.1"])
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        assert (await Fetcher(client, resolve=both).bytes("https://clips.example/", 10))[0] == b"x"


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS for a server called ``name``, and for a client that trusts it."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    built = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = built.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(private + pem)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(folder / "server.pem")
    return server, ssl.create_default_context(cadata=pem.decode())


async def test_the_certificate_must_be_the_names_although_the_address_is_connected_to(tmp_path: Path) -> None:
    server_tls, client_tls = certificate(tmp_path, "clips.example")
    names = frozenset({"clips.example", "other.example"})
    async with peer(reply(200, b"x"), tls=server_tls) as server, httpx.AsyncClient(verify=client_tls) as client:
        port = server.host.rpartition(":")[2]
        fetch = Fetcher(client, names, resolve=resolves(["127.0.0.1"], ["127.0.0.1"]))
        assert (await fetch.bytes(f"https://clips.example:{port}/", 10))[0] == b"x"
        with pytest.raises(StudioUnavailable):
            await fetch.bytes(f"https://other.example:{port}/", 10)
        assert len(server.requests) == 1
        assert f"host: clips.example:{port}".encode() in server.requests[0].lower()
        assert b"connection: close" in server.requests[0].lower()


async def test_what_a_killed_download_left_is_taken_away_by_a_later_one(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    mine, fresh, foreign = (tmp_path / name for name in (".seedance-a.part", ".seedance-b.part", ".other.part"))
    for path in (mine, fresh, foreign):
        path.touch()
    for path in (mine, foreign):
        os.utime(path, (0, 0))
    async with peer(reply(200, CLIP)) as server:
        await fetcher(http, server).save(server.origin, tmp_path / "clip.mp4")
    assert set(names(tmp_path)) == {"clip.mp4", fresh.name, foreign.name}


async def test_bytes_come_with_their_type_and_nothing_secret_was_sent(http: httpx.AsyncClient) -> None:
    async with peer(reply(200, b"picture", "content-type: Image/PNG; q=1")) as server:
        assert await fetcher(http, server).bytes(server.origin + "/a.png", 7) == (b"picture", "image/png")
        assert b"authorization" not in server.requests[0].lower()


@pytest.mark.parametrize("answer", [reply(200, b"12345678"), b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 500_000])
async def test_a_body_beyond_the_limit_is_refused(http: httpx.AsyncClient, answer: bytes) -> None:
    async with peer(answer) as server:
        with pytest.raises(StudioRejected) as refusal:
            await fetcher(http, server).bytes(server.origin, 7)
    assert refusal.value.code == "too_large"


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        (reply(404), StudioRejected, "link_dead"),
        (reply(410), StudioRejected, "link_dead"),
        (reply(403), StudioRejected, "link_dead"),
        (reply(302, b"", "location: https://1.1.1.1/"), StudioRejected, "redirected"),
        (reply(401), StudioRejected, "download_refused"),
        (reply(200, b"x", "content-encoding: gzip"), StudioRejected, "download_refused"),
        (reply(500), StudioUnavailable, "studio_unavailable"),
        (reply(429), StudioUnavailable, "studio_unavailable"),
        (reply(200, b"half", length=9), StudioUnavailable, "studio_unavailable"),
        (b"garbage\r\n\r\n", StudioUnavailable, "studio_unavailable"),
        (b"", StudioUnavailable, "studio_unavailable"),
    ],
)
async def test_an_answer_that_is_not_the_file_says_whether_to_try_again(
    http: httpx.AsyncClient, tmp_path: Path, answer: bytes, error: type[StudioError], code: str
) -> None:
    async with peer(answer) as server:
        with pytest.raises(error) as problem:
            await fetcher(http, server).save(server.origin, tmp_path / "clip.mp4")
        assert len(server.requests) == 1
    assert problem.value.code == code
    assert names(tmp_path) == []


async def test_a_download_that_never_ends_is_given_up(http: httpx.AsyncClient) -> None:
    async with peer(None) as server:
        with pytest.raises(StudioUnavailable):
            await Fetcher(http, frozenset({server.host}), patience=0).bytes(server.origin, 10)


async def test_a_peer_that_is_gone_is_unavailable(http: httpx.AsyncClient) -> None:
    async with peer(reply(200)) as server:
        pass
    with pytest.raises(StudioUnavailable):
        await fetcher(http, server).bytes(server.origin, 10)


async def test_a_page_is_not_an_image(http: httpx.AsyncClient) -> None:
    async with peer(
        reply(200, b"\x89PNG", "content-type: image/png"), reply(200, b"<", "content-type: text/html")
    ) as server:
        assert await fetcher(http, server).image(server.origin) == b"\x89PNG"
        with pytest.raises(StudioRejected) as refusal:
            await fetcher(http, server).image(server.origin)
    assert refusal.value.code == "not_an_image"


@pytest.mark.parametrize(("status", "alive"), [(200, True), (404, False), (410, False), (405, True), (503, True)])
async def test_a_link_is_dead_only_when_its_host_says_so(http: httpx.AsyncClient, status: int, alive: bool) -> None:
    async with peer(reply(status, length=10**12)) as server:
        assert await fetcher(http, server).alive(server.origin) is alive
        assert server.requests[0].startswith(b"HEAD / ")


async def test_a_link_to_a_forbidden_address_is_not_even_looked_at(http: httpx.AsyncClient) -> None:
    with pytest.raises(StudioRejected) as refusal:
        await Fetcher(http, resolve=resolves(["10.0.0.1"])).alive("https://public.example/")
    assert refusal.value.code == "forbidden_address"


async def test_only_the_named_peers_are_allowed(http: httpx.AsyncClient) -> None:
    fetch = Fetcher(http, frozenset({"127.0.0.1:8080"}))
    assert fetch.allows("http://127.0.0.1:8080/a")
    for url in ("http://127.0.0.1:8081/a", "http://127.0.0.1:8080@evil.example/", "http://[", "a"):
        assert not fetch.allows(url)


async def test_a_clip_is_saved_for_its_owner_alone_and_nothing_else_is_left(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    async with peer(reply(200, CLIP)) as server:
        path = await fetcher(http, server).save(server.origin, tmp_path / "new" / "clip.mp4")
    assert path == tmp_path / "new" / "clip.mp4"
    assert path.read_bytes() == CLIP
    assert names(path.parent) == ["clip.mp4"]
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("links", [True, False])
async def test_a_taken_name_is_left_alone(
    http: httpx.AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def no_links(place: Path, target: Path) -> None:
        raise PermissionError

    if not links:
        monkeypatch.setattr(Path, "hardlink_to", no_links)
    (tmp_path / "clip.mp4").write_bytes(b"mine")
    (tmp_path / "clip-2.mp4").symlink_to(tmp_path / "elsewhere")
    async with peer(reply(200, CLIP)) as server:
        path = await fetcher(http, server).save(server.origin, tmp_path / "clip.mp4")
    assert path == tmp_path / "clip-3.mp4"
    assert path.read_bytes() == CLIP
    assert (tmp_path / "clip.mp4").read_bytes() == b"mine"
    assert names(tmp_path) == ["clip-2.mp4", "clip-3.mp4", "clip.mp4"]


async def test_what_is_not_a_video_is_not_kept(http: httpx.AsyncClient, tmp_path: Path) -> None:
    async with peer(reply(200, b"<html>link expired</html>")) as server:
        with pytest.raises(StudioRejected) as refusal:
            await fetcher(http, server).save(server.origin, tmp_path / "clip.mp4")
    assert refusal.value.code == "not_a_video"
    assert names(tmp_path) == []


async def test_a_disk_that_refuses_is_told_as_it_is_and_nothing_is_left(
    http: httpx.AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    async with peer(reply(200, CLIP)) as server:
        with pytest.raises(OSError, match="No space left"):
            await fetcher(http, server).save(server.origin, tmp_path / "clip.mp4")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "data",
    [
        CLIP,
        box(b"ftyp") + (0).to_bytes(4) + b"moov",
        box(b"ftyp") + box(b"moov") + (1).to_bytes(4) + b"mdat" + (20).to_bytes(8) + b"data",
    ],
)
def test_boxes_that_cover_the_file_are_an_mp4_if_the_needed_ones_are_there(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "clip").write_bytes(data)
    problem = is_mp4(tmp_path / "clip")
    assert problem == (None if b"mdat" in data else "it has no mdat box")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>",
        CLIP[:-1],
        CLIP + b"tail",
        CLIP + b"\0" * 7,
        box(b"moov") + box(b"ftyp") + box(b"mdat"),
        box(b"ftyp") + box(b"moov"),
        box(b"ftyp") + box(b"mdat"),
        box(b"ftyp") + (7).to_bytes(4) + b"moov",
        box(b"ftyp") + box(b"moov") + (1).to_bytes(4) + b"mdat" + (8).to_bytes(8),
        box(b"ftyp") + box(b"moov") + box(b"mdat") + box(b"free") * 100_000,
    ],
)
def test_a_file_that_is_cut_short_or_something_else_is_no_mp4(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "clip").write_bytes(data)
    assert is_mp4(tmp_path / "clip")
