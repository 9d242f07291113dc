"""One second of real video."""

from functools import cache
from io import BytesIO

import av
from PIL import Image


@cache
def clip() -> bytes:
    """An MP4 of H.264, 320 by 180 pixels, 12 frames a second."""
    file = BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=12, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for number in range(12):
            picture = Image.new("RGB", (320, 180), (20 * number, 90, 160))
            frame = av.VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()
