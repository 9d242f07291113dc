"""Files that are no clips, or that lie about themselves, end in a remark: never in an error, and soon."""

from pathlib import Path

import pytest
from PIL import Image

from seedance_mcp.viewing import footage
from seedance_mcp.viewing.examine import examine
from seedance_mcp.viewing.findings import Expected, Findings
from seedance_mcp.viewing.footage import Unreadable, opened
from seedance_mcp.viewing.sheet import contact_sheet, thumbnail
from tests.viewing.films import film, moving


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return film(tmp_path / "clip.mp4", moving(3))


def look(path: Path) -> Findings:
    return examine(path, expected=Expected(seconds=3, resolution="180p"))


def box(kind: bytes, *bodies: bytes) -> bytes:
    body = b"".join(bodies)
    return (8 + len(body)).to_bytes(4) + kind + body


def mp4(*header: bytes) -> bytes:
    return box(b"ftyp", b"isom\0\0\2\0isom") + box(b"moov", *header) + box(b"mdat")


def test_a_truncated_clip_is_judged_by_what_is_left(clip: Path) -> None:
    whole = clip.read_bytes()
    clip.write_bytes(whole[: len(whole) // 2])

    found = look(clip)

    assert found.remarks[0].startswith("The file is broken: it is damaged or cut short at byte ")
    assert any("though the file claims 3.0 s." in remark for remark in found.remarks)
    assert found.remarks[-1].endswith(" s long; 3 s were bought.")
    assert found.length_ms is not None
    assert 0 < found.length_ms < 2500
    assert contact_sheet(clip)


def test_a_clip_cut_off_in_its_header(clip: Path) -> None:
    clip.write_bytes(clip.read_bytes()[:400])

    assert look(clip) == Findings(remarks=("The clip cannot be decoded: it is damaged or cut short at byte 32.",))


def test_a_clip_with_a_hole_in_it(clip: Path) -> None:
    data = bytearray(clip.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    clip.write_bytes(data)

    assert any("of the clip's frames" in remark and "damaged" in remark for remark in look(clip).remarks)


def test_frames_with_patched_up_damage_count(clip: Path) -> None:
    """A decoder that meets nonsense inside a frame paints over it and goes on."""
    data = bytearray(clip.read_bytes())
    frames = data.index(b"mdat") + 4
    data[frames + 3000 : frames + 3060] = bytes(range(60))
    clip.write_bytes(data)

    assert any("damaged" in remark for remark in look(clip).remarks)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it has no ftyp box"),
        (b"<html>link expired</html>", "it does not begin like an MP4 file"),
        (b"#EXTM3U\n#EXTINF:3,\nfile:clip.mp4\n", "it does not begin like an MP4 file"),
        (mp4(), "it has no picture that can be decoded here"),
        (mp4(box(b"trak") * 9), "it has more than 8 tracks"),
        (mp4(box(b"cmov")), "its header is larger than that of any clip"),
        (mp4(box(b"free") * 30_000), "its header is larger than that of any clip"),
    ],
)
def test_what_is_no_clip(tmp_path: Path, data: bytes, why: str) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(data)

    assert look(path) == Findings(remarks=(f"The clip cannot be decoded: {why}.",))
    for make in (contact_sheet, thumbnail):
        with pytest.raises(Unreadable, match=why):
            make(path)


def test_a_header_that_contradicts_itself(clip: Path) -> None:
    clip.write_bytes(clip.read_bytes().replace(b"stsd\0\0\0\0\0\0\0\1", b"stsd\0\0\0\0\0\0\xff\xff"))

    assert look(clip).remarks == ("The clip cannot be decoded: a decoder can make nothing of it.",)


def test_no_file_at_all(tmp_path: Path) -> None:
    assert "cannot be read" in look(tmp_path / "clip.mp4").remarks[0]


def test_a_table_of_millions_of_samples_is_not_opened(clip: Path) -> None:
    """FFmpeg would write an index of gigabytes for it."""
    data = bytearray(clip.read_bytes())
    table = data.index(b"stsz")
    data[table + 8 : table + 16] = (1).to_bytes(4) + (1 << 26).to_bytes(4)
    clip.write_bytes(data)

    assert look(clip).remarks == ("The clip cannot be decoded: it promises more than 100000 frames.",)


def test_a_fragment_of_millions_of_samples_is_not_opened(clip: Path) -> None:
    run = box(b"moof", box(b"traf", box(b"trun", bytes(4), (1 << 26).to_bytes(4), bytes(4))))
    clip.write_bytes(clip.read_bytes() + run)

    assert look(clip).remarks == ("The clip cannot be decoded: it promises more than 100000 frames.",)


def test_a_file_that_is_far_too_large_is_not_opened(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footage, "MOST_BYTES", 1000)

    assert look(clip).remarks == ("The clip cannot be decoded: it is far larger than any clip.",)


def test_frames_that_are_far_too_large_are_not_decoded(tmp_path: Path) -> None:
    path = film(tmp_path / "clip.mp4", [Image.new("RGB", (4112, 2320))], None)

    assert look(path).remarks == (
        "The clip cannot be decoded: its frames are 4112 x 2320 pixels, which is too much to look at.",
    )


def test_a_picture_that_no_decoder_here_knows(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footage, "_PICTURE", frozenset({"vp9"}))

    assert look(clip).remarks == ("The clip cannot be decoded: it has no picture that can be decoded here.",)


def test_an_endless_clip_is_looked_at_for_a_while_only(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footage, "LONGEST_MS", 1000)

    found = look(clip)

    assert len(found.remarks) == 1
    assert found.remarks[0].startswith("Only the first ")
    assert found.length_ms == 3000


def test_patience_ends(clip: Path) -> None:
    with opened(clip) as open_clip:
        open_clip._deadline = 0

        assert list(open_clip.frames()) == []
        assert open_clip.unseen
