"""docker-compose.yml, Dockerfile: what can be said of them without a Docker engine."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
EXACT_TAG = re.compile(r"^[\w./-]+:v?\d+\.\d+(\.\d+)?(-[\w.-]+)?$")

# The part of the Compose Specification that this file may use, and nothing else: a misspelt key fails here. The
# Specification's own, far wider schema is not kept in this repository; `docker compose config` applies it below.
_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT, "minItems": 1}
_MAPPING = {"type": "object", "additionalProperties": _TEXT}  # in quotes: YAML makes other things of `yes` and 08
_COMMAND = {"oneOf": [_TEXT, _TEXTS]}
_DURATION = {"type": "string", "pattern": r"^\d+(ms|s|m)$"}
_CONDITIONS = ["service_started", "service_healthy", "service_completed_successfully"]


def _closed(needed: list[str] | None = None, /, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object", "properties": properties, "required": needed or [], "additionalProperties": False,
    }  # fmt: skip


_SERVICE = _closed(
    ["image", "restart", "security_opt"],
    image=_TEXT,
    build=_TEXT,
    command=_COMMAND,
    environment=_MAPPING,
    env_file={"type": "array", "items": _closed(["path"], path=_TEXT, required={"type": "boolean"})},
    profiles=_TEXTS,
    user=_TEXT,
    init={"type": "boolean"},
    read_only={"type": "boolean"},
    tmpfs=_TEXT,
    cap_drop=_TEXTS,
    security_opt=_TEXTS,
    restart={"enum": ["unless-stopped", "on-failure:3"]},
    stop_grace_period=_DURATION,
    shm_size={"type": "string", "pattern": r"^\d+[kmg]$"},
    ports=_TEXTS,
    volumes=_TEXTS,
    depends_on={
        "type": "object",
        "additionalProperties": _closed(["condition"], condition={"enum": _CONDITIONS}),
    },
    healthcheck=_closed(
        ["test", "interval", "timeout", "retries", "start_period"],
        test={**_TEXTS, "minItems": 2},
        interval=_DURATION,
        timeout=_DURATION,
        retries={"type": "integer"},
        start_period=_DURATION,
    ),
)
SCHEMA = _closed(
    ["name", "services", "volumes"],
    name=_TEXT,
    services={"type": "object", "additionalProperties": _SERVICE},
    volumes={"type": "object", "additionalProperties": {"type": "null"}},
) | {"patternProperties": {"^x-": {}}}


def test_the_file_has_the_form_of_a_compose_file() -> None:
    jsonschema.validate(COMPOSE, SCHEMA)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda service: service.update(healtcheck={}),
        lambda service: service["healthcheck"].update(interval="often"),
        lambda service: service["environment"].update(ON=True),
        lambda service: service.pop("image"),
    ],
)
def test_a_mistake_in_a_service_is_noticed(break_it: Any) -> None:
    broken = yaml.safe_load(TEXT)
    break_it(broken["services"]["postgres"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, SCHEMA)


def test_docker_compose_itself_accepts_the_file() -> None:
    if (
        not shutil.which("docker")
        or subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode
    ):
        pytest.skip("there is no docker compose here")
    subprocess.run(["docker", "compose", "--profile", "*", "config", "--quiet"], cwd=ROOT, check=True)


def test_what_services_refer_to_is_there() -> None:
    for name, service in SERVICES.items():
        for other, wanted in service.get("depends_on", {}).items():
            assert other in SERVICES, f"{name} depends on {other}"
            if wanted["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], f"{name} waits for the health of {other}"
            if wanted["condition"] == "service_completed_successfully":
                assert SERVICES[other]["restart"] == "on-failure:3", f"{name} waits for the end of {other}"
        for volume in service.get("volumes", []):
            source, *_, mode = volume.split(":")
            if source.startswith("./"):
                assert (ROOT / source).is_dir(), f"{name} mounts {volume}"
                assert mode == "ro", f"{name} could write to {source}"
            else:
                assert source in COMPOSE["volumes"], f"{name} mounts {volume}"


def test_two_flows_never_share_a_recovery_store() -> None:
    stores = [
        volume for service in OURS.values() for volume in service.get("volumes", []) if volume.endswith("/recovery")
    ]
    assert len(stores) == len(set(stores)) == 2


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_has_an_exact_tag(name: str) -> None:
    assert EXACT_TAG.match(SERVICES[name]["image"])


def test_the_base_image_has_an_exact_tag_and_nothing_runs_as_root() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    images = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert images
    assert all(EXACT_TAG.match(image) and "3.12" in image for image in images)
    assert [line for line in lines if line.startswith("USER ")] == ["USER conscope"]
    assert any("--require-hashes" in line for line in lines)


@pytest.mark.parametrize("name", OURS)
def test_what_runs_our_code_has_no_rights_to_spare(name: str) -> None:
    service = OURS[name]
    assert service["user"] == "10001"
    assert "--uid 10001" in (ROOT / "Dockerfile").read_text()
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_can_gain_privileges_and_ports_are_for_this_machine_only(name: str) -> None:
    assert "no-new-privileges:true" in SERVICES[name]["security_opt"]
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", ["kafka", "postgres", "flow", "ingest", "dashboard"])
def test_health_is_known_within_seconds(name: str) -> None:
    interval = SERVICES[name]["healthcheck"]["interval"]
    assert interval.endswith("s")
    assert int(interval[:-1]) <= 10


@pytest.mark.parametrize("name", OURS)
def test_the_modules_that_are_run_go_into_the_image(name: str) -> None:
    dockerfile, ignored = (ROOT / "Dockerfile").read_text(), (ROOT / ".dockerignore").read_text()
    command = str(OURS[name]["command"])
    for package in re.findall(r"-m ([a-z_]+)", command):
        if package != "bytewax":
            assert f"COPY {package} {package}\n" in dockerfile
            assert f"!{package}\n" in ignored


# Variables that the compose file sets for programs that are not ours, or fixes inside the container.
_CONTAINER_ONLY = {
    "CLUSTER_ID": "Kafka's image",
    "KAFKA_CLUSTERS_0_NAME": "kafka-ui's image",
    "KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS": "kafka-ui's image",
}


def test_every_variable_is_documented() -> None:
    documented = set(re.findall(r"^([A-Z_0-9]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    used = set(re.findall(r"(?<!\$)\$\{(\w+):-", TEXT))
    assert used <= documented
    assert len(re.findall(r"(?<!\$)\$\{?\w", TEXT)) == len(re.findall(r"(?<!\$)\$\{\w+:-", TEXT)), "one has no default"
    for service in SERVICES.values():
        given = service.get("environment", {}).keys() - _CONTAINER_ONLY.keys()
        if service["image"].startswith("apache/kafka:"):
            given = {name for name in given if not name.startswith("KAFKA_")}  # the image's own settings
        assert given <= documented


def test_the_defaults_are_those_of_the_settings() -> None:
    documented = dict(re.findall(r"^([A-Z_0-9]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    for name, default in re.findall(r"(?<!\$)\$\{(\w+):-([^}]*)\}", TEXT):
        assert default == documented[name], name
