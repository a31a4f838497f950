from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import dash_app
from dash_app.app import create_app
from dash_app.security import check_bind, is_loopback
from settings import Settings


def settings(**changes: Any) -> Settings:
    return Settings(_env_file=None, postgres_host="127.0.0.1", postgres_port=1, **changes)


@pytest.fixture(scope="module")
def client() -> Any:
    return create_app(settings()).server.test_client()


def test_health_answers_without_a_database(client: Any) -> None:
    answer = client.get("/health")
    assert (answer.status_code, answer.text) == (200, "ok")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "::1", "[::1]", "LOCALHOST."])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.com", "localhost.example.com", ""])
def test_an_address_that_others_reach_is_refused(host: str) -> None:
    with pytest.raises(SystemExit, match="--behind-proxy"):
        check_bind(host, allow_remote=False)
    check_bind(host, allow_remote=True)


def test_the_factory_refuses_too() -> None:
    with pytest.raises(SystemExit):
        create_app(settings(dash_host="192.168.1.2"))


def test_every_answer_carries_the_headers(client: Any) -> None:
    for path in ("/", "/health", "/_dash-layout", "/nowhere"):
        headers = client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
        assert "unsafe" not in policy["script-src"]
        assert policy["default-src"] == "'self'"


def test_nothing_comes_from_elsewhere(client: Any) -> None:
    page = client.get("/").text
    assert "http://" not in page
    assert "https://" not in page


def test_another_sites_name_for_this_machine_is_refused(client: Any) -> None:
    assert client.get("/health", headers={"Host": "evil.example"}).status_code == 403
    assert client.get("/health", headers={"Host": "localhost:8050"}).status_code == 200


def test_a_post_from_another_site_is_refused(client: Any) -> None:
    foreign = {"Origin": "https://evil.example"}
    assert client.post("/_dash-update-component", json={}, headers=foreign).status_code == 403


def test_behind_a_proxy_its_name_is_accepted() -> None:
    app = create_app(settings(dash_host="192.168.1.2"), allow_remote=True)
    assert app.server.test_client().get("/health", headers={"Host": "prices.example"}).status_code == 200


def test_the_tick_says_that_postgres_is_away(client: Any) -> None:
    dependencies = client.get("/_dash-dependencies").json
    (tick,) = [
        entry for entry in dependencies if "prices-token.data" in entry["output"] and "tick" in str(entry["inputs"])
    ]
    outputs = [dict(zip(("id", "property"), part.rsplit(".", 1), strict=True))
               for part in tick["output"].strip(".").split("...")]  # fmt: skip
    body = {
        "output": tick["output"],
        "outputs": outputs,
        "inputs": [{**entry, "value": 3} for entry in tick["inputs"]],
        "state": [{**entry, "value": "before"} for entry in tick["state"]],
        "changedPropIds": ["tick.n_intervals"],
    }
    answer = json.loads(client.post("/_dash-update-component", json=body).text)["response"]
    assert answer["link-text"]["children"] == "Postgres is away"
    assert answer["notice"]["hidden"] is False
    assert "prices-token" not in answer


def test_no_style_looks_for_what_stands_within() -> None:
    costly = [path.name for path in Path(dash_app.__file__).parent.rglob("*.css") if ":has(" in path.read_text()]
    assert not costly, "the browser asks :has anew at every change of a page; a class says the same"
