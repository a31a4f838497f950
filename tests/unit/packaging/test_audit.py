"""The audit of the pinned packages, against a stand-in of the advisory database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from scripts import audit

Known = dict[tuple[str, str], list[str]]


@pytest.fixture
def known(httpserver: HTTPServer) -> Known:
    """The advisories of a package's version that the stand-in knows."""
    advisories: Known = {}

    def answer(request: Request) -> Response:
        asked: Any = request.get_json()["queries"]
        found = [advisories.get((one["package"]["name"], one["version"]), []) for one in asked]
        return Response(
            json.dumps({"results": [{"vulns": [{"id": n} for n in names]} if names else {} for names in found]})
        )

    httpserver.expect_request("/", method="POST").respond_with_handler(answer)
    return advisories


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "requirements.txt").write_text(
        'polars==2.1.0 \\\n    --hash=sha256:00\nDash==4.4.1 ; python_version > "3"\n'
    )
    (tmp_path / "docs").mkdir()
    return tmp_path


def test_our_own_lock_files_are_read() -> None:
    names = {name for name, _ in audit.pins(audit.ROOT)}
    assert {"bytewax", "confluent-kafka", "duckdb", "polars", "psycopg", "dash", "plotly", "pytest"} <= names


def test_nothing_known_is_fine(
    httpserver: HTTPServer, known: Known, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.main(project, httpserver.url_for("/")) == 0
    assert "2 packages checked, 0 advisories" in capsys.readouterr().out


def test_a_known_vulnerability_fails_and_is_named(
    httpserver: HTTPServer, known: Known, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    osv = httpserver.url_for("/")
    known |= {("dash", "4.4.1"): ["PYSEC-1", "GHSA-2"], ("polars", "1.0"): ["PYSEC-3"]}
    (project / "docs" / "advisories.txt").write_text("# id why\nGHSA-2  its server is not the one we run\n")
    assert audit.main(project, osv) == 1
    told = capsys.readouterr().out
    assert "dash 4.4.1: https://osv.dev/PYSEC-1\n" in told
    assert "GHSA-2 (accepted: its server is not the one we run)" in told
    assert "1 advisories to deal with" in told
    (project / "docs" / "advisories.txt").write_text("GHSA-2 one\nPYSEC-1 other\n")
    assert audit.main(project, osv) == 0


@pytest.mark.parametrize("where", ["broken", "nobody"])
def test_no_answer_is_said_and_is_no_failure(
    httpserver: HTTPServer, project: Path, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    httpserver.expect_request("/").respond_with_data("<html>")
    assert audit.main(project, httpserver.url_for("/") if where == "broken" else "http://127.0.0.1:1") == 0
    assert "NOT checked" in capsys.readouterr().out
