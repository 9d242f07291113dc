"""The examples' own seller: they are run as they stand, and buy at a shop that renders at once."""

from tests.library.conftest import home, shop, studio

__all__ = ["home", "shop", "studio"]
