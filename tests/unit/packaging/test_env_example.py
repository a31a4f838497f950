""".env.example and Settings say the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from dotenv import dotenv_values
from pydantic import SecretStr

from settings import Settings

FILE = Path(__file__).parents[3] / ".env.example"
_HOW = "write it anew: .venv/bin/python scripts/env_example.py > .env.example"


def test_every_setting_is_there_and_nothing_else() -> None:
    given = set(dotenv_values(FILE))
    wanted = {name.upper() for name in Settings.model_fields}
    assert given == wanted, f"missing {sorted(wanted - given)}, too many {sorted(given - wanted)}; {_HOW}"


def test_the_file_as_it_is_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    assert Settings(_env_file=FILE) == Settings(_env_file=None), _HOW


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_setting_is_explained_and_shows_its_default(name: str) -> None:
    field = Settings.model_fields[name]
    default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    shown = "" if default is None else default
    assert field.description, f"{name} has no description in settings.py"
    assert f"\n# {field.description}\n{name.upper()}={shown}\n" in FILE.read_text(), _HOW


def test_librdkafka_settings_are_shown_and_switched_off() -> None:
    assert "\n# LIBRDKAFKA_" in FILE.read_text()
