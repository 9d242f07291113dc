"""An agent that wants other people's files, or wants its own where they do not belong."""

import os
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import seedance_mcp.studio.images
from seedance_mcp.studio.opening import open_inside
from tests.attacks.hostile import Hostile, picture
from tests.attacks.target import Target

SECRET = b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU\n"


@pytest.fixture
def trap(customer: Target) -> Path:
    """A folder beside the allowed one, with something private in it."""
    private = customer.home.folder / ".ssh"
    private.mkdir(exist_ok=True)
    (private / "id_rsa").write_bytes(SECRET)
    (private / "photo.png").write_bytes(picture((640, 400)))
    for old in customer.home.images.iterdir():
        old.unlink()
    return private


def plant_text(images: Path, private: Path) -> str:
    (images / "id_rsa.png").write_bytes((private / "id_rsa").read_bytes())
    return "id_rsa.png"


def plant_link(images: Path, private: Path) -> str:
    (images / "link.png").symlink_to(private / "photo.png")
    return "link.png"


def plant_folder(images: Path, private: Path) -> str:
    (images / "folder").symlink_to(private, target_is_directory=True)
    return "folder/photo.png"


def plant_pipe(images: Path, private: Path) -> str:
    os.mkfifo(images / "pipe.png")
    return "pipe.png"


def plant_hard_link(images: Path, private: Path) -> str:
    (images / "hard.png").hardlink_to(private / "photo.png")
    return "hard.png"


Plant = Callable[[Path, Path], str]
PLANTS: dict[str, Plant] = {
    "the file itself": lambda _, private: str(private / "id_rsa"),
    "by the home folder": lambda *_: "~/.ssh/id_rsa",
    "renamed": plant_text,
    "a picture outside": lambda _, private: str(private / "photo.png"),
    "dots": lambda *_: "../.ssh/photo.png",
    "dots inside": lambda images, _: f"{images}/../.ssh/photo.png",
    "dots encoded": lambda *_: "..%2f.ssh%2fphoto.png",
    "a symbolic link": plant_link,
    "through a linked folder": plant_folder,
    "a pipe": plant_pipe,
    "a hard link": plant_hard_link,
    "environment": lambda *_: "/proc/self/environ",
    "environment by another name": lambda *_: "/proc/thread-self/root/proc/self/environ",
    "a device": lambda *_: "/dev/zero",
    "a descriptor": lambda *_: "/dev/stdin",
    "with a null": lambda _, private: f"lake.png\0{private}/photo.png",
    "a file URL": lambda _, private: f"file://{private}/photo.png",
    "a plain http URL": lambda *_: "http://example.com/photo.png",
    "an internal URL": lambda *_: "https://169.254.169.254/photo.png",
    "a data URL": lambda *_: "data:image/png;base64,AAAA",
}


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and links of POSIX")
@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS)
async def test_a_file_or_address_that_is_not_the_agents_never_leaves(
    customer: Target, trap: Path, plant: Plant
) -> None:
    path = plant(customer.home.images, trap)
    await customer.signs_nothing("upload_image", path=path)
    await customer.signs_nothing("upload_image", url=path)
    await customer.refuses(image=path)
    await customer.refuses(last_image=path)
    assert {seen.path for seen in customer.seller.requests} <= {"/pictures/lake.png", "/openapi.json"}


async def test_internal_pictures_are_not_asked_for(customer: Target, elsewhere: Hostile) -> None:
    port = elsewhere.origin.rpartition(":")[2]
    for url in (
        elsewhere.image,
        f"http://localhost:{port}/pictures/lake.png",
        f"https://127.0.0.1:{port}/pictures/lake.png",
        f"{customer.seller.origin}@127.0.0.1:{port}/pictures/lake.png",
        f"https://[::ffff:7f00:1]:{port}/pictures/lake.png",
    ):
        await customer.refuses(image=url)
        await customer.signs_nothing("upload_image", url=url)
    assert elsewhere.connections == 0


def with_tail() -> bytes:
    return picture((642, 360)) + SECRET


def with_text() -> bytes:
    from PIL.PngImagePlugin import PngInfo  # noqa: PLC0415

    info, file = PngInfo(), BytesIO()
    info.add_text("key", SECRET.decode())
    Image.new("RGB", (643, 360)).save(file, "PNG", pnginfo=info)
    return file.getvalue()


def with_exif() -> bytes:
    exif, file = Image.Exif(), BytesIO()
    exif[0x010E] = SECRET.decode()
    Image.new("RGB", (644, 360)).save(file, "JPEG", exif=exif, comment=SECRET)
    return file.getvalue()


@pytest.mark.parametrize("make", [with_tail, with_text, with_exif])
async def test_what_hangs_on_a_picture_stays_here(newcomer: Target, make: Callable[[], bytes]) -> None:
    (newcomer.home.images / "holiday.png").write_bytes(make())
    assert SECRET in make()
    await newcomer.agent.ok("upload_image", path="holiday.png")
    (put,) = newcomer.seller.asked("/blob/")
    assert Image.open(BytesIO(put.body)).size[1] == 360
    assert not any(SECRET[10:40] in seen.everything for seen in newcomer.seller.requests)


@pytest.mark.parametrize("moment", ["before it is opened", "after it was opened"])
async def test_a_file_swapped_while_it_is_looked_at_gives_nothing_away(
    newcomer: Target, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The path is resolved once: what is read is what was checked, or nothing."""
    private = newcomer.home.folder / "private.png"
    private.write_bytes(picture((999, 600)))
    lake = newcomer.home.picture()

    def swap() -> None:
        lake.unlink()
        lake.symlink_to(private)

    def opened(*arguments: Any) -> int:
        if moment.startswith("before"):
            swap()
            return open_inside(*arguments)
        descriptor = open_inside(*arguments)
        swap()
        return descriptor

    monkeypatch.setattr(seedance_mcp.studio.images, "open_inside", opened)
    await newcomer.agent.call("upload_image", path="lake.png")
    for put in newcomer.seller.asked("/blob/"):
        assert Image.open(BytesIO(put.body)).size == (640, 360)
    assert b"999" not in b"".join(seen.body for seen in newcomer.seller.asked("/api/upload"))


@pytest.mark.parametrize(
    "prompt", ["../../../../etc/cron.d/x", "..", "/etc/passwd", "\\..\\..\\x", "a\0b", "CON", ".bashrc", "x" * 1_900]
)
async def test_a_clip_never_leaves_its_folder_whatever_it_is_called(newcomer: Target, prompt: str) -> None:
    bought = await newcomer.buys(prompt=prompt)
    path = Path((await newcomer.ends(bought["job_id"]))["video_path"])
    assert [str(entry) for entry in newcomer.home.clips.iterdir()] == [str(path)]
    assert path.suffix == ".mp4"


async def test_a_name_for_an_upload_is_no_path(newcomer: Target) -> None:
    newcomer.home.picture()
    await newcomer.agent.ok("upload_image", path="lake.png", filename="../../etc/passwd\r\nX-Evil: 1")
    for seen in newcomer.seller.asked("/api/upload"):
        assert b".." not in seen.body
        assert b"/etc" not in seen.body
        assert b"\\r" not in seen.body
