"""What the demo says at its end."""

from __future__ import annotations

import polars as pl
import pytest

from local.demo import extent
from oracle.log import LOG_SCHEMA


@pytest.mark.parametrize(
    ("offsets", "published", "whole"),
    [({}, 0, True), ({0: range(3), 2: range(2)}, 5, True), ({0: range(3), 1: range(7, 9)}, 12, False)],
)
def test_a_log_of_which_the_broker_has_dropped_the_oldest_is_known(
    offsets: dict[int, range], published: int, whole: bool
) -> None:
    """The embedded broker keeps some megabytes: of a long demo, the oracle would see only the end."""
    rows = [(part, off, None, b"{}", 0) for part, offs in offsets.items() for off in offs]
    assert extent(pl.DataFrame(rows, schema=LOG_SCHEMA, orient="row")) == (published, whole)
