"""Work that nobody waits for, and that one odd answer must not end."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from seedance_mcp.errors import SeedanceError


@contextmanager
def going_on(logger: logging.Logger, subject: str) -> Iterator[None]:
    """What goes wrong in one round of background work is logged: the next one tries again, and the server lives on."""
    try:
        yield
    except SeedanceError as error:
        logger.info("While looking after %s: %s", subject, error.what)
    except Exception:
        logger.exception("While looking after %s", subject)
