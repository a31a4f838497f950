from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from dash_app.app import create_app
from dash_app.security import Login, Patience
from settings import Settings


def settings(**changes: Any) -> Settings:
    return Settings(_env_file=None, postgres_host="127.0.0.1", postgres_port=1, **changes)


@pytest.fixture(scope="module")
def public() -> Any:
    """A dashboard without a log-in."""
    return create_app(settings()).server.test_client()


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture(scope="module")
def app() -> Any:
    return create_app(settings(dash_host="0.0.0.0", dash_user="nora", dash_password="pass:wörd"))


@pytest.fixture
def client(app: Any) -> Any:
    return app.server.test_client()


@pytest.mark.parametrize(
    "path", ["/", "/_dash-layout", "/_dash-dependencies", "/export/a.csv", "/assets/mark.svg", "/x"]
)
def test_everything_asks_for_the_log_in(client: Any, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert "Content-Security-Policy" in answer.headers
    assert client.get(path, headers=basic("nora", "pass:wörd"), buffered=True).status_code != 401


def test_a_callback_asks_for_the_log_in(client: Any) -> None:
    assert client.post("/_dash-update-component", json={}).status_code == 401


def test_probes_and_links_in_mails_need_none(client: Any) -> None:
    assert client.get("/health").status_code == 200
    assert client.get("/mute/nothing").status_code == 404


@pytest.mark.parametrize(
    "given",
    [basic("nora", "password"), basic("mora", "pass:wörd"), basic("nora:pass", "wörd "), basic("", ""),
     {"Authorization": "Basic ###"}, {"Authorization": "Bearer nora"}, {"Authorization": "Basic"}],
)  # fmt: skip
def test_anything_else_does_not_open_it(client: Any, given: dict[str, str]) -> None:
    environ = {"REMOTE_ADDR": f"192.0.2.{len(str(given))}"}
    assert client.get("/", headers=given, environ_overrides=environ).status_code == 401


def test_with_a_log_in_other_machines_names_are_accepted(client: Any) -> None:
    headers = {**basic("nora", "pass:wörd"), "Host": "prices.example"}
    assert client.get("/", headers=headers).status_code == 200


def test_wrong_passwords_are_slowed_for_that_address_alone(client: Any) -> None:
    wrong, right = basic("nora", "guess"), basic("nora", "pass:wörd")
    here, elsewhere = {"REMOTE_ADDR": "2001:db8::1"}, {"REMOTE_ADDR": "2001:db8:0:1::1"}
    seen = [client.get("/", headers=wrong, environ_overrides=here) for _ in range(40)]
    assert [answer.status_code for answer in seen[:10]] == [401] * 10
    assert 429 in {answer.status_code for answer in seen[10:]}
    assert client.get("/", headers=wrong, environ_overrides=elsewhere).status_code == 401
    assert client.get("/", headers=right, environ_overrides=elsewhere).status_code == 200


def test_patience_comes_back_one_try_a_second() -> None:
    now = [0.0]
    patience = Patience(lambda: now[0])
    for _ in range(10):
        assert patience.left("a") >= 1
        patience.failed("a")
    assert patience.left("a") < 1
    now[0] = 1.0
    assert patience.left("a") >= 1
    patience.failed("a")
    assert patience.left("a") < 1
    now[0] = 1000.0
    assert patience.left("a") == 10


def test_patience_forgets_rather_than_grows() -> None:
    patience = Patience(lambda: 0.0)
    for number in range(30_000):
        patience.failed(str(number))
    assert len(patience._left) <= 10_000


@pytest.mark.parametrize("half", [{"dash_user": "nora"}, {"dash_password": "secret"}])
def test_half_a_log_in_is_refused(half: dict[str, str]) -> None:
    with pytest.raises(SystemExit, match="go together"):
        Login.of(settings(**half))


def test_the_password_is_not_shown() -> None:
    assert "hunter2" not in repr(settings(dash_user="nora", dash_password="hunter2"))


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [({}, True), ({"Origin": "http://localhost"}, True), ({"Origin": "http://localhost:81"}, False),
     ({"Origin": "null"}, False), ({"Origin": ""}, False), ({"Sec-Fetch-Site": "cross-site"}, False),
     ({"Sec-Fetch-Site": "same-site"}, False), ({"Sec-Fetch-Site": "same-origin"}, True),
     ({"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"}, False)],
)  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_write_comes_from_this_page(public: Any, headers: dict[str, str], allowed: bool, method: str) -> None:
    assert (public.open("/mute/nothing", method=method, headers=headers).status_code != 403) == allowed


def test_following_a_link_from_elsewhere_is_no_write(public: Any) -> None:
    assert public.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


def test_behind_a_proxy_each_address_has_its_own_patience() -> None:
    app = create_app(settings(dash_user="nora", dash_password="secret"), allow_remote=True)
    client = app.server.test_client()

    def guess(address: str) -> int:
        headers = {**basic("nora", "guess"), "X-Forwarded-For": f"203.0.113.7, {address}"}
        return int(client.get("/", headers=headers).status_code)

    assert 429 in {guess("198.51.100.1") for _ in range(40)}
    assert guess("198.51.100.2") == 401
