"""The folder that clips are saved in."""

import os

from seedance_mcp.checkup.finding import Finding, failed, ok
from seedance_mcp.settings import Settings


def check_output(settings: Settings) -> Finding:
    """Whether a clip could be saved. Makes nothing: the folder above one that is not there yet has to be writable."""
    folder = settings.output_dir
    place = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        todo = "Make it writable, or name another folder in SEEDANCE_OUTPUT_DIR: nothing is bought that is not saved."
        return failed("clips", f"{folder} cannot be written", todo)
    return ok("clips", f"saved in {folder}")
