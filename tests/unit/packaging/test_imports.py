"""The one arrow that the import linter cannot see: settings.py is a module, not a package."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_settings_imports_nothing_of_ours() -> None:
    ours = {path.name for path in ROOT.iterdir() if path.is_dir()}
    tree = ast.walk(ast.parse((ROOT / "settings.py").read_text()))
    imported = [alias.name for node in tree if isinstance(node, ast.Import) for alias in node.names]
    tree = ast.walk(ast.parse((ROOT / "settings.py").read_text()))
    imported += [node.module or "." for node in tree if isinstance(node, ast.ImportFrom)]
    assert "pydantic" in imported
    assert {name.split(".")[0] for name in imported} & ours == set()
