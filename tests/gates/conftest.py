"""A home with a picture, and a sandbox that listens."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.home import Home, make_home
from tests.e2e.test_http import serving


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = make_home(tmp_path / "home")
    home.picture()
    return home


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a sandbox over HTTP."""
    with serving(make_home(tmp_path_factory.mktemp("gates") / "home"), "--sandbox") as url:
        yield url
