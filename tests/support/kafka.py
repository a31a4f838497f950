"""A real Apache Kafka broker for tests, in whichever way this machine can run one.

The first that is there: a broker named by `CONSCOPE_TEST_KAFKA`, the Docker engine, Java 17 with Maven. The jars of
the last way are kept in `.cache/kafka`. A broker of ours listens on loopback, on ports that stay its own over restarts.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path
from types import TracebackType

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from local.postgres import free_port
from local.processes import die_with_parent

_HERE = Path(__file__).parent
_POM = _HERE / "pom.xml"
_CACHE = _HERE.parents[1] / ".cache" / "kafka"
_START_SECONDS = 60
_STOP_SECONDS = 30

VERSION: str = re.findall(r"<kafka\.version>([\d.]+)</kafka\.version>", _POM.read_text())[0]
IMAGE = f"apache/kafka:{VERSION}"


class NoKafkaError(Exception):
    """There is no way to run Kafka on this machine, or not in the way that was asked; the message says why."""


class Kafka:
    """A broker someone else runs, at `bootstrap`; tests may make topics on it but not stop it."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    @property
    def admin(self) -> AdminClient:
        """A new admin client."""
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    def new_topic(self, prefix: str = "test", partitions: int = 1, **config: str) -> str:
        """Make a topic with a name of its own and return the name; `config` takes `retention_ms` for `retention.ms`."""
        name = f"{prefix}-{uuid.uuid4().hex[:8]}"
        options = {key.replace("_", "."): value for key, value in config.items()}
        admin = self.admin  # collected while a call is under way, a client fails the call
        admin.create_topics([NewTopic(name, partitions, 1, config=options)])[name].result(30)
        return name

    def start(self) -> Kafka:
        """Come up, with the data of the last run if there was one, and wait until it answers."""
        self._wait()
        return self

    def stop(self) -> None:
        """Shut down in order."""
        raise NoKafkaError(f"the broker at {self.bootstrap} is not ours to stop")

    def kill(self) -> None:
        """End at once, as after a power cut."""
        raise NoKafkaError(f"the broker at {self.bootstrap} is not ours to kill")

    def restart(self) -> None:
        """Shut down and come up again on the same address with the same data."""
        self.stop()
        self.start()

    def terminate(self) -> None:
        """End for good and leave nothing behind."""

    def __enter__(self) -> Kafka:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.terminate()

    def _alive(self) -> bool:
        return True

    def _log(self) -> str:
        return ""

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        admin = self.admin
        while time.monotonic() < deadline and self._alive():
            try:
                if admin.list_topics(timeout=1).brokers:
                    return
            except KafkaException:
                time.sleep(0.1)
        log = self._log()
        raise RuntimeError(f"Kafka at {self.bootstrap} does not answer\n{log[-2000:]}")


def _settings(
    port: int, controller: int, host: str, data: str, behind: tuple[int, int] | None = None
) -> dict[str, object]:
    """The broker's configuration: one node, broker and controller in one.

    `behind` is a second listener: the port on which it listens and the one, a proxy's, that clients are told.
    """
    second = [] if behind is None else [f"BEHIND://127.0.0.1:{port}" for port in behind]
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": ",".join([f"PLAINTEXT://{host}:{port}", f"CONTROLLER://127.0.0.1:{controller}", *second[:1]]),
        "advertised.listeners": ",".join([f"PLAINTEXT://127.0.0.1:{port}", *second[1:]]),
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,BEHIND:PLAINTEXT",
        "log.dirs": data,
        "num.partitions": 1,
        "offsets.topic.num.partitions": 4,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "broker.heartbeat.interval.ms": 250,
        "broker.session.timeout.ms": 3000,  # a killed broker is let in again only when this has passed
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 500,
        "log.retention.check.interval.ms": 1000,
        "log.initial.task.delay.ms": 1000,
    }


class JavaKafka(Kafka):
    """A broker in a Java process of ours.

    Args:
        libs: the folder of Kafka's jars.
        proxy: the port of a proxy before its second listener, `behind`.
    """

    def __init__(self, libs: Path, proxy: int | None = None) -> None:
        self._port, self._controller, self.behind = free_port(), free_port(), free_port()
        self._proxy = proxy
        super().__init__(f"127.0.0.1:{self._port}")
        self._libs = libs
        self._process: subprocess.Popen[bytes] | None = None
        self.directory = Path(tempfile.mkdtemp(prefix="conscope-kafka-"))
        self.log = self.directory / "server.log"

    def start(self) -> Kafka:
        """Format the storage if it is new, start the process and wait for it."""
        config, data = self.directory / "server.properties", self.directory / "data"
        if not config.exists():
            behind = None if self._proxy is None else (self.behind, self._proxy)
            settings = _settings(self._port, self._controller, "127.0.0.1", str(data), behind)
            config.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
            self._format(config)
        with self.log.open("ab") as out:
            # A session of its own: Ctrl-C in the terminal is for pytest, which ends the broker in order.
            self._process = subprocess.Popen(
                [*self._java(), "kafka.Kafka", str(config)],
                stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=self.directory, start_new_session=True,
                preexec_fn=die_with_parent(),
            )  # fmt: skip
        return super().start()

    def stop(self) -> None:
        """Shut down in order (SIGTERM), or be killed if that takes too long."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def terminate(self) -> None:
        """Kill the process, if it runs, and remove its files."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _java(self) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={_HERE / 'log4j2.properties'}"
        return ["java", "-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", logging, "-cp", f"{self._libs}/*"]

    def _format(self, config: Path) -> None:
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "x")
        command = [*self._java(), "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(config)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.directory)
        if done.returncode:
            raise RuntimeError(f"Kafka: formatting the storage failed\n{done.stdout}{done.stderr}")

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _log(self) -> str:
        return self.log.read_text(errors="replace")


class DockerKafka(Kafka):
    """A broker in a container of ours."""

    def __init__(self) -> None:
        self._port = free_port()
        super().__init__(f"127.0.0.1:{self._port}")
        self._name = f"conscope-test-kafka-{uuid.uuid4().hex[:8]}"
        self._made = False

    def start(self) -> Kafka:
        """Make the container, or start it again, and wait for it."""
        if self._made:
            _docker("start", self._name)
        else:
            settings = _settings(self._port, 9093, "0.0.0.0", "/var/lib/kafka/data")
            variables = [f"KAFKA_{name.upper().replace('.', '_')}={value}" for name, value in settings.items()]
            environment = [part for variable in variables for part in ("-e", variable)]
            ports = f"127.0.0.1:{self._port}:{self._port}"
            self._made = True
            _docker("run", "-d", "--name", self._name, "-p", ports, "-m", "1g", *environment, IMAGE)
        return super().start()

    def stop(self) -> None:
        """Shut down in order."""
        _docker("stop", "-t", str(_STOP_SECONDS), self._name)

    def kill(self) -> None:
        """SIGKILL."""
        _docker("kill", self._name)

    def terminate(self) -> None:
        """Remove the container and its data."""
        if self._made:
            _docker("rm", "-f", "-v", self._name)

    def _log(self) -> str:
        return _docker("logs", "--tail", "40", self._name)


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise RuntimeError(f"docker {arguments[0]}: {done.stderr.strip()}")
    return done.stdout + done.stderr


def _has_docker() -> bool:
    try:
        done = subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _java_version() -> int | None:
    try:
        done = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(\d+)', done.stderr)
    return int(found[1]) if found else None


def jars() -> Path:
    """The folder of the broker's jars; downloaded once, by whoever comes first.

    Raises:
        NoKafkaError: they are not to be had.
    """
    libs = _CACHE / VERSION / "libs"
    libs.parent.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not libs.exists():
            if shutil.which("mvn") is None:
                raise NoKafkaError("there is no Maven, which fetches Kafka")
            fresh = Path(tempfile.mkdtemp(prefix="libs-", dir=libs.parent))
            own = tempfile.mkdtemp(prefix="maven-", dir=libs.parent)  # a local repository needs no home folder
            command = ["mvn", "-q", "-B", "-f", str(_POM), f"-Dmaven.repo.local={own}", "-DincludeScope=runtime"]
            done = subprocess.run(
                [*command, f"-DoutputDirectory={fresh}", "dependency:copy-dependencies"],
                capture_output=True, text=True, check=False, timeout=600,
            )  # fmt: skip
            shutil.rmtree(own, ignore_errors=True)
            if done.returncode:
                shutil.rmtree(fresh, ignore_errors=True)
                raise NoKafkaError(f"Maven could not fetch Kafka {VERSION}:\n{done.stdout[-1500:]}{done.stderr[-500:]}")
            fresh.rename(libs)
    return libs


def make_kafka() -> Kafka:
    """A broker that is not started yet, in the first way this machine offers.

    Raises:
        NoKafkaError: there is none.
    """
    if given := os.environ.get("CONSCOPE_TEST_KAFKA"):
        return Kafka(given)
    if _has_docker():
        return DockerKafka()
    java = _java_version()
    if java is not None and java >= 17 and shutil.which("mvn"):
        return JavaKafka(jars())
    raise NoKafkaError(
        "these tests need a real Kafka: set CONSCOPE_TEST_KAFKA=host:port, start Docker, or install Java 17 and Maven"
        f" (Java found: {java or 'none'}, Maven: {'yes' if shutil.which('mvn') else 'none'})"
    )
