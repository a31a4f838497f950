"""The connector guide: its feeds are valid and its connector keeps the contract, as they stand there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from connectors.mapping import Mapping
from connectors.sources import feed
from connectors.sources.feed import Feed

GUIDE = (Path(__file__).parents[4] / "docs/guides/connectors.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)


def written(source: str) -> Any:
    """A module of the guide's blocks."""
    module = ModuleType("guide")
    exec(compile(source, "docs/guides/connectors.md", "exec"), module.__dict__)
    return module


_snippet, connector, contract = blocks("python")
TestContract = written(f"{connector}\n{contract}").TestContract


@pytest.mark.parametrize("block", blocks("toml"))
def test_every_file_of_the_guide_is_valid(block: str) -> None:
    table = tomllib.loads(block)
    if "url" in table:
        Feed(table, lambda _: "secret").close()
    else:
        assert len(Mapping.parse(table).observations) == 2


def test_every_key_of_a_feed_is_in_the_guide() -> None:
    keys = {*feed._File.__struct_fields__, *feed._Paging.__struct_fields__, *feed._Budget.__struct_fields__}
    assert {key for key in keys if f"`{key}`" not in GUIDE} == set()


def test_the_files_that_the_guide_names_are_there() -> None:
    root = Path(__file__).parents[4]
    named = set(re.findall(r"`((?:connectors|feeds|scripts|tests)/[\w/.]+?)`", GUIDE))
    assert len(named) > 4
    assert {name for name in named if not (root / name).exists()} == set()
