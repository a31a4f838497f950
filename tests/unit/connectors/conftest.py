"""What the tests of connectors may ask for."""

from tests.support.sites import site, site_server

__all__ = ["site", "site_server"]
