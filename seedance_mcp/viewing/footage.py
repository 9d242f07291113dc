"""A clip's frames and sound, decoded within bounds, whatever the file says of itself."""

import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import av
from av.audio.stream import AudioStream
from av.codec.context import ThreadType
from av.video.stream import VideoStream

from seedance_mcp.mp4 import is_mp4
from seedance_mcp.viewing.tables import excess

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame

Track = TypeVar("Track", VideoStream, AudioStream)

LONGEST_MS = 30_000
"""Nothing beyond is looked at. No Seedance clip lasts longer than 15 s."""
PATIENCE_SECONDS = 20
MOST_BYTES = 1 << 30
MOST_PIXELS = 4096 * 2304
SILENCE = 32
"""Samples of 16 bits that stay within this are silence: 60 dB below the loudest that there can be."""

_PICTURE = frozenset({"h264", "hevc", "vp9", "av1", "libdav1d"})
_SOUND = frozenset({"aac", "mp3", "mp3float", "opus", "libopus", "flac", "alac", "ac3"})
_OPTIONS = {
    "codec_whitelist": ",".join(sorted(_PICTURE | _SOUND)),
    "protocol_whitelist": "file",
    "max_pixels": str(MOST_PIXELS),
    "advanced_editlist": "0",  # it takes edits times samples, and nobody edits a fresh render
}

_TROUBLE = (av.FFmpegError, ValueError, MemoryError)
"""What PyAV raises over a file that is not as it should be."""


class Unreadable(Exception):
    """Nothing of the clip can be seen. The text says why: a clause about "it", without a full stop."""


class Footage:
    """An open clip; ``damage`` is what is wrong with the file as a whole, if anything."""

    def __init__(self, container: "InputContainer", video: VideoStream, damage: str | None) -> None:
        self._container = container
        self._video = video
        self._audio = next(iter(container.streams.audio), None)
        self._deadline = time.monotonic() + PATIENCE_SECONDS
        self.damage = damage
        self.width, self.height = video.width, video.height
        self.codec = video.codec_context.codec.canonical_name
        self.frame_rate = round(1000 * video.average_rate) if video.average_rate else None
        """Frames in a thousand seconds."""
        self.length_ms = _ms(video.duration, video.time_base)
        """By the file's own words; 0 where it has none."""
        self.has_audio = self._audio is not None
        self.damaged = 0
        """How many of ``frames`` had holes, or could not be decoded at all."""
        self.unseen = False
        """Whether the bounds kept something from being looked at."""

    def times(self) -> list[int]:
        """When each frame appears, in milliseconds from the first, without decoding any."""
        shown = sorted(packet.pts for packet in self._packets(self._video) if packet.size and packet.pts is not None)
        return [_ms(pts - shown[0], self._video.time_base) for pts in shown]

    def frames(self) -> Iterator[tuple[int, int, "VideoFrame"]]:
        """Each frame, behind the milliseconds at which it appears and goes, counted from where the first appears."""
        first, appears = None, 0
        for packet in self._packets(self._video):
            try:
                frames = packet.decode()
            except _TROUBLE:
                self.damaged += 1
                continue
            for frame in frames:
                self.damaged += frame.is_corrupt
                if frame.pts is not None:
                    first = frame.pts if first is None else first
                    appears = max(appears, _ms(frame.pts - first, frame.time_base))
                    yield appears, max(appears, _ms(frame.pts - first + frame.duration, frame.time_base)), frame

    def is_silent(self) -> bool | None:
        """None where there is no sound, or none that can be decoded. The first sound that is heard ends the search."""
        if self._audio is None or _decoder(self._audio) not in _SOUND:
            return None
        decoded = False
        resampler = av.AudioResampler(format="s16")
        for packet in self._packets(self._audio):
            try:
                frames = [plain for frame in packet.decode() for plain in resampler.resample(frame)]
            except _TROUBLE:
                continue
            for frame in frames:
                samples = array("h", bytes(frame.planes[0])[: 2 * frame.samples * frame.layout.nb_channels])
                if samples and not -SILENCE <= min(samples) <= max(samples) <= SILENCE:
                    return False
                decoded = True
        return True if decoded else None

    def _packets(self, track: Track) -> "Iterator[Packet[Track]]":
        """Those of ``track`` up to the bounds; behind the last of all, an empty one that flushes the decoder."""
        first = None
        try:
            self._container.seek(0)
            for packet in self._container.demux(track):
                if packet.dts is not None and first is None:
                    first = packet.dts
                since = _ms(packet.dts - (first or 0), track.time_base) if packet.dts is not None else 0
                if since >= LONGEST_MS or time.monotonic() > self._deadline:
                    self.unseen = True
                    return
                yield packet
        except _TROUBLE:
            self.damaged += 1


@contextmanager
def opened(path: Path) -> Iterator[Footage]:
    """Raises Unreadable, from the block as well: FFmpeg may find out only there that it cannot go on."""
    try:
        damage = is_mp4(path)
        too_much = excess(path) if path.stat().st_size <= MOST_BYTES else "it is far larger than any clip"
    except OSError as error:
        raise Unreadable(f"it cannot be read ({error.strerror or 'the system refuses it'})") from None
    if too_much:
        raise Unreadable(too_much)
    try:
        with av.open(f"file:{path.absolute()}", format="mp4", options=_OPTIONS, timeout=PATIENCE_SECONDS) as container:
            yield Footage(container, _picture_track(container, damage), damage)
    except _TROUBLE as error:
        raise Unreadable(damage or "a decoder can make nothing of it") from error


def _picture_track(container: "InputContainer", damage: str | None) -> VideoStream:
    """Set up to decode no frame that is too large, even if it says so only between two others."""
    video = next((stream for stream in container.streams.video if _decoder(stream) in _PICTURE), None)
    if video is None:
        raise Unreadable(damage or "it has no picture that can be decoded here")
    if not 0 < video.width * video.height <= MOST_PIXELS:
        raise Unreadable(f"its frames are {video.width} x {video.height} pixels, which is too much to look at")
    video.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
    video.thread_type, video.thread_count = ThreadType.AUTO, 2
    return video


def _decoder(stream: VideoStream | AudioStream) -> str | None:
    return getattr(stream.codec_context, "name", None)  # there is no context where FFmpeg knows no decoder


def _ms(ticks: int | None, tick: Fraction | None) -> int:
    return round(1000 * ticks * tick) if ticks and tick else 0
