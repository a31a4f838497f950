"""The .in and .txt pairs agree; `make lint` asks the index as well, this needs no network."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[3]
PAIRS = ["requirements", "requirements-extra", "requirements-dev"]
_HOW = "run make lock"


def wanted(name: str) -> list[Requirement]:
    lines = (line.split(" #")[0].strip() for line in (ROOT / f"{name}.in").read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def pins(name: str) -> dict[str, list[Version]]:
    """Versions by package; more than one only where markers tell them apart."""
    found: dict[str, list[Version]] = {}
    for line in (ROOT / f"{name}.txt").read_text().splitlines():
        if re.match(r"[A-Za-z0-9]", line):
            requirement = Requirement(line.rstrip(" \\"))
            (specifier,) = requirement.specifier
            assert specifier.operator == "=="
            found.setdefault(canonicalize_name(requirement.name), []).append(Version(specifier.version))
    return found


@pytest.mark.parametrize("name", PAIRS)
def test_every_requirement_has_a_pin_that_satisfies_it(name: str) -> None:
    pinned = pins(name)
    for requirement in wanted(name):
        versions = pinned.get(canonicalize_name(requirement.name), [])
        assert versions, f"{requirement} is not in {name}.txt; {_HOW}"
        assert all(requirement.specifier.contains(version, prereleases=True) for version in versions), _HOW


@pytest.mark.parametrize("name", PAIRS)
def test_every_pin_has_a_hash(name: str) -> None:
    blocks = re.split(r"\n(?=[A-Za-z0-9])", (ROOT / f"{name}.txt").read_text())[1:]
    assert blocks
    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_both_files_pin_the_same_versions() -> None:
    base, dev = pins("requirements"), pins("requirements-dev")
    assert {name: dev[name] for name in base.keys() & dev.keys()} == {
        name: base[name] for name in base.keys() & dev.keys()
    }


@pytest.mark.parametrize("name", PAIRS)
def test_no_registry_is_named(name: str) -> None:
    assert "://" not in (ROOT / f"{name}.txt").read_text()


def test_make_finds_the_pin_of_uv() -> None:
    text = (ROOT / "requirements-dev.txt").read_text()
    block = re.search(r"^uv==.*?# via", text, re.MULTILINE | re.DOTALL)
    assert block
    assert set(re.findall(r"^[a-z]+(?===)", block[0], re.MULTILINE)) == {"uv"}
