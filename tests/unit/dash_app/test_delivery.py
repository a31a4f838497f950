from __future__ import annotations

import gzip
from typing import Any

import pytest
from flask import Flask, Response

from dash_app.app import create_app
from dash_app.delivery import register
from settings import Settings

PACKED = {"Accept-Encoding": "br, gzip"}


@pytest.fixture(scope="module")
def client() -> Any:
    return create_app(Settings(_env_file=None, postgres_port=1)).server.test_client()  # type: ignore[call-arg]


def scripts(page: str) -> list[str]:
    return [part.split('"')[0] for part in page.split('src="')[1:]]


def test_bundles_and_assets_are_kept_for_good_and_packed(client: Any) -> None:
    found = scripts(client.get("/").text)
    assert any("dash_mantine_components" in name for name in found)
    assert any(name.startswith("/assets/") for name in found)
    for name in found:
        plain, packed = client.get(name, buffered=True), client.get(name, headers=PACKED, buffered=True)
        assert "immutable" in plain.headers["Cache-Control"], name
        if "Content-Encoding" in packed.headers:
            assert len(packed.data) < len(plain.data), name
            assert gzip.decompress(packed.data) == plain.data, name
            assert int(packed.headers["Content-Length"]) == len(packed.data), name
        else:
            assert len(plain.data) < 1000, name


def test_what_has_no_version_is_asked_for_again(client: Any) -> None:
    assert "immutable" not in client.get("/assets/inter.woff2", buffered=True).headers["Cache-Control"]
    for path in ("/", "/_dash-layout", "/_dash-dependencies", "/health"):
        assert client.get(path).headers["Cache-Control"] == "private, no-cache"


def test_an_asset_that_has_not_changed_is_not_sent_again(client: Any) -> None:
    for encoding in ({}, PACKED):
        tag = client.get("/assets/10-base.css", headers=encoding, buffered=True).headers["ETag"]
        again = client.get("/assets/10-base.css", headers={**encoding, "If-None-Match": tag}, buffered=True)
        assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize(
    ("mime", "headers", "packed"),
    [("application/json", PACKED, True), ("text/html", PACKED, True), ("font/woff2", PACKED, False),
     ("application/json", {}, False), ("application/json", {"Accept-Encoding": "gzip;q=0"}, False)],
)  # fmt: skip
def test_text_is_packed_for_those_who_take_it(mime: str, headers: dict[str, str], packed: bool) -> None:
    server = Flask("delivery")
    server.add_url_rule("/", "a", lambda: Response("price " * 1000, mimetype=mime))
    register(server)
    answer = server.test_client().get("/", headers=headers)
    assert ("Content-Encoding" in answer.headers) == packed
    assert (gzip.decompress(answer.data) if packed else answer.data) == b"price " * 1000
