"""``seedance-mcp demo`` as a user without a wallet runs it."""

import os
import subprocess
import sys
from pathlib import Path

import av


def test_the_demo_ends_with_a_clip_that_plays(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "SEEDANCE_OUTPUT_DIR": str(clips),
        # Neither may be looked at: the demo has a wallet and a ledger of its own.
        "SEEDANCE_PRIVATE_KEY": "not a key",
        "SEEDANCE_LEDGER": f"sqlite:{tmp_path}",
    }
    done = subprocess.run(
        [sys.executable, "-m", "seedance_mcp", "demo"], env=env, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    clip = Path(done.stdout.splitlines()[-1])
    assert clip.parent == clips
    with av.open(str(clip)) as video:
        stream = video.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 1280, 720)
        assert video.duration is not None
        assert round(video.duration / av.time_base) == 5
    assert "$0.99 is above the limit of $0.75 per payment. Nothing was charged." in done.stdout
    assert "0.4225" in done.stdout
