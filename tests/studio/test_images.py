import hashlib
import io
import os
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from seedance_mcp.errors import InvalidImage
from seedance_mcp.studio.images import nearest_aspect, prepare, read_file

posix = pytest.mark.skipif(sys.platform == "win32", reason="the system has no such files")


def picture(kind: str = "PNG", size: tuple[int, int] = (400, 300), mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "a.png").write_bytes(b"bytes")
    (tmp_path / "secret").write_bytes(b"secret")
    return folder


@pytest.fixture(params=["step by step", "open and compare"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to open a file; the second is for systems without the first."""
    if request.param == "open and compare":
        monkeypatch.setattr(os, "supports_dir_fd", frozenset())
    elif os.open not in os.supports_dir_fd:
        pytest.skip("the system cannot open relative to a folder")


@pytest.mark.usefixtures("way")
def test_a_file_inside_a_root_is_read_by_absolute_and_relative_path(root: Path) -> None:
    assert read_file(str(root / "inner" / "a.png"), [root]) == b"bytes"
    assert read_file("inner/a.png", [root.parent / "other", root]) == b"bytes"


@pytest.mark.usefixtures("way")
def test_a_root_may_itself_be_a_link(root: Path) -> None:
    alias = root.parent / "alias"
    alias.symlink_to(root)
    assert read_file(str(alias / "inner" / "a.png"), [alias]) == b"bytes"
    assert read_file(str(root / "inner" / "a.png"), [alias]) == b"bytes"


def test_without_roots_every_path_is_refused_with_the_way_to_allow_one(root: Path) -> None:
    with pytest.raises(InvalidImage, match="SEEDANCE_IMAGE_ROOTS"):
        read_file(str(root / "inner" / "a.png"), [])


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "inner/../../secret",
        "/proc/self/environ",
        "/etc/passwd",
        "~/.ssh/id_rsa",
        "",
        ".",
        "/",
        "a\0b",
        "\ud800.png",
    ],
)
def test_a_path_that_leads_out_of_the_roots_is_refused(root: Path, path: str) -> None:
    with pytest.raises(InvalidImage):
        read_file(path, [root])
    with pytest.raises(InvalidImage):
        read_file(str(root / "inner" / ".." / ".." / "secret"), [root])


@posix
@pytest.mark.usefixtures("way")
def test_links_inside_a_root_are_not_followed(root: Path) -> None:
    (root / "file.png").symlink_to(root.parent / "secret")
    (root / "near.png").symlink_to(root / "inner" / "a.png")
    (root / "folder").symlink_to(root.parent)
    for path in ("file.png", "near.png", "folder/secret"):
        with pytest.raises(InvalidImage, match="symbolic link"):
            read_file(path, [root])


@posix
@pytest.mark.usefixtures("way")
def test_a_hard_link_is_refused(root: Path) -> None:
    (root / "hard.png").hardlink_to(root.parent / "secret")
    with pytest.raises(InvalidImage, match="hard link"):
        read_file("hard.png", [root])


@posix
@pytest.mark.usefixtures("way")
def test_a_pipe_is_refused_without_waiting_for_a_writer(root: Path) -> None:
    os.mkfifo(root / "pipe.png")
    with pytest.raises(InvalidImage, match="regular file"):
        read_file("pipe.png", [root])


@posix
def test_a_process_environment_is_refused_even_with_the_file_system_as_root() -> None:
    with pytest.raises(InvalidImage):
        read_file("/proc/self/environ", [Path("/")])


def test_folders_empty_files_large_files_and_missing_files_are_refused(root: Path) -> None:
    (root / "empty.png").touch()
    for path, why in (
        ("inner", "regular|opened"),
        ("empty.png", "empty"),
        ("none.png", "exist"),
        ("inner/a.png", "MB"),
    ):
        with pytest.raises(InvalidImage, match=why):
            read_file(path, [root], limit=4)


@posix
def test_a_file_that_becomes_a_link_while_it_is_opened_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, plain_open = root / "inner" / "a.png", os.open

    def swapping_open(path: object, flags: int, *args: int, **kwargs: int) -> int:
        if path == target:
            target.unlink()
            target.symlink_to(root.parent / "secret")
        return plain_open(path, flags, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "supports_dir_fd", frozenset())
    monkeypatch.setattr(os, "open", swapping_open)
    with pytest.raises(InvalidImage, match="symbolic link"):
        read_file(str(target), [root])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_an_opaque_picture_becomes_a_jpeg(kind: str) -> None:
    source = picture(kind)
    prepared = prepare(source)
    assert (prepared.content_type, prepared.extension) == ("image/jpeg", ".jpg")
    assert (prepared.width, prepared.height) == opened(prepared.data).size == (400, 300)
    assert prepared.sha256 == hashlib.sha256(source).hexdigest()


def test_a_transparent_picture_stays_one() -> None:
    buffer = io.BytesIO()
    Image.new("RGBA", (400, 300), (200, 10, 10, 90)).save(buffer, "PNG")
    prepared = prepare(buffer.getvalue())
    assert (prepared.content_type, prepared.extension) == ("image/png", ".png")
    assert opened(prepared.data).getpixel((5, 5)) == (200, 10, 10, 90)


@pytest.mark.parametrize("mode", ["L", "P", "1", "LA", "CMYK", "I;16"])
def test_every_colour_mode_keeps_its_light_and_dark(mode: str) -> None:
    buffer = io.BytesIO()
    if mode == "I;16":
        Image.new("I;16", (400, 300), 40_000).save(buffer, "PNG")
    else:
        Image.new("L", (400, 300), 156).convert(mode).save(buffer, "JPEG" if mode == "CMYK" else "PNG")
    shown = opened(prepare(buffer.getvalue()).data).convert("L").resize((1, 1)).getpixel((0, 0))
    assert isinstance(shown, int)
    assert shown == pytest.approx(156, abs=6)


def test_the_rotation_is_applied_and_the_place_is_gone() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    source = picture("JPEG", exif=exif, comment=b"a comment with a secret")
    assert dict(opened(source).getexif().get_ifd(0x8825))
    prepared = prepare(source)
    assert (prepared.width, prepared.height) == (300, 400)
    assert not opened(prepared.data).getexif()
    assert b"Exif" not in prepared.data
    assert b"secret" not in prepared.data


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_text_and_appended_bytes_are_gone(mode: str) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "0xPRIVATE")
    buffer = io.BytesIO()
    Image.new(mode, (400, 300), (1, 2, 3, 4)[: len(mode)]).save(buffer, "PNG", pnginfo=text, icc_profile=b"PROFILE")
    prepared = prepare(buffer.getvalue() + b"-----BEGIN OPENSSH PRIVATE KEY-----")
    for secret in (b"0xPRIVATE", b"PRIVATE KEY", b"PROFILE"):
        assert secret not in prepared.data


def test_only_the_first_frame_of_an_animation_is_taken() -> None:
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (400, 300), colour) for colour in ("red", "blue")]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    red, _, blue = opened(prepare(buffer.getvalue()).data).convert("RGB").getpixel((9, 9))  # type: ignore[misc]
    assert red > 200 > 60 > blue


def bomb(width: int, height: int) -> bytes:
    """A small PNG that says it is very large."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 10)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(50_000, 50_000), (10_000, 10_000), (6001, 6000), (20_000, 400)])
def test_a_huge_picture_is_refused_before_it_is_decoded(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda _: pytest.fail("decoded"))
    with pytest.raises(InvalidImage, match="6000"):
        prepare(bomb(*size))


@pytest.mark.parametrize(("size", "why"), [((299, 400), "300"), ((1000, 390), "0.4"), ((390, 1000), "0.4")])
def test_sizes_that_the_model_does_not_take_are_refused(size: tuple[int, int], why: str) -> None:
    with pytest.raises(InvalidImage, match=why):
        prepare(picture(size=size))


def test_the_limits_themselves_are_allowed() -> None:
    assert prepare(picture(size=(300, 750))).height == 750
    assert prepare(picture(size=(750, 300))).width == 750


@pytest.mark.parametrize(
    "make",
    [
        lambda: b"",
        lambda: b"-----BEGIN OPENSSH PRIVATE KEY-----\n",
        lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        lambda: picture("BMP"),
        lambda: picture("TIFF"),
        lambda: picture("PNG")[:200],
        lambda: picture("JPEG")[:-300],
        lambda: bomb(400, 300),
        lambda: b"\xff" * 30_000_001,
    ],
)
def test_what_is_not_a_whole_picture_of_an_allowed_kind_is_refused(make: Callable[[], bytes]) -> None:
    with pytest.raises(InvalidImage):
        prepare(make())


@pytest.mark.parametrize(
    ("size", "ratio"),
    [
        ((1920, 1080), "16:9"),
        ((1080, 1920), "9:16"),
        ((1000, 1000), "1:1"),
        ((2560, 1080), "21:9"),
        ((1200, 1000), "4:3"),
    ],
)
def test_the_nearest_ratio_is_found(size: tuple[int, int], ratio: str) -> None:
    assert nearest_aspect(*size, ["auto", "16:9", "9:16", "4:3", "3:4", "1:1", "21:9"]) == ratio


def test_without_a_ratio_there_is_no_nearest_one() -> None:
    with pytest.raises(ValueError, match=r"."):
        nearest_aspect(1, 1, ["auto"])
