"""What the documents say is so: the commands exist, the tables and pictures are those of the code."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def _load(name: str) -> object:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_settings_table_is_that_of_settings() -> None:
    rewritten = _load("settings_table").with_table(README)  # type: ignore[attr-defined]
    assert rewritten == README, "write it anew: .venv/bin/python scripts/settings_table.py"


@pytest.mark.parametrize("module", sorted(set(re.findall(r"python3? -m ([a-z_.]+)", README)) - {"venv"}))
def test_every_module_that_the_readme_runs_exists(module: str) -> None:
    assert importlib.util.find_spec(module) is not None


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE))))
def test_every_make_target_of_the_readme_exists(target: str) -> None:
    assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), f"make {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_pictures_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text())
    missing = [link for link in links if not (document.parent / link).exists()]
    assert not missing


def test_the_flows_picture_is_what_bytewax_draws() -> None:
    command = [sys.executable, "-m", "bytewax.visualize", "flows.prices", "-o", "mermaid"]
    drawn = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip()
    assert drawn in (ROOT / "docs/flow.md").read_text(), "docs/flow.md is older than the flow: write it anew"
