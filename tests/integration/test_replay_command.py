"""`python -m connectors.replay`: what it says, what it answers, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import shlex
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import settings as configuration
from connectors.replay import __main__ as command
from local.postgres import free_port
from sinks.lake import LakeWriter
from tests.conftest import MockKafka
from tests.integration.test_replay import Desk
from tests.support.logs import NOON, at, message
from tests.unit.sinks import rows

MAP = """
constants = { source = "partner" }
fields = { event_id = "event", price = "price", timestamp = "seen", seat = "seat" }
"""


@pytest.fixture
def desk(mock_kafka: MockKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A working directory with a file, its map and a lake; `raw_prices` is there."""
    monkeypatch.chdir(tmp_path)
    for name in [*configuration.Settings.model_fields, *os.environ]:
        if name.lower() in configuration.Settings.model_fields or name.startswith("LIBRDKAFKA_"):
            monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", mock_kafka.bootstrap)
    monkeypatch.setattr(command, "_stop_on_signals", list)
    configuration.load.cache_clear()
    Path("map.toml").write_text(MAP)
    prices = [f"e{n % 3},{n + 1}.50,{at(n)},{n}\n" for n in range(9)]
    Path("prices.csv").write_text("event,price,seen,seat\n" + "".join(prices))
    writer = LakeWriter(Path("lake/prices"))
    writer.add([rows.frame([rows.price(n, timestamp=NOON + timedelta(hours=n), event_id=f"e{n}") for n in range(5)])])
    writer.flush()
    yield Desk(mock_kafka.bootstrap, "raw_prices")
    configuration.load.cache_clear()


ROOT = Path(__file__).parents[2]
IMPORT = ["file", "prices.csv", "--map", "map.toml"]


def run(*arguments: str, status: int = 0) -> None:
    assert command.main(list(arguments)) == status


def test_an_import_says_what_it_did_and_what_comes_next(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    run(*IMPORT)
    said = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"replay [0-9a-f]{16} of the file prices.csv into raw_prices", said[0])
    assert re.fullmatch(
        r"  published   9 in [0-9.]+ s, from 2026-11-23T12:00:00\+00:00 to 2026-11-23T12:00:08\+00:00", said[1]
    )
    assert said[2] == "  skipped     0"
    assert "python -m dash_app" in said[3]
    assert desk.seats() == list(range(9))
    run(*IMPORT)
    said = capsys.readouterr().out.splitlines()
    assert "published   0 in" in said[1]
    assert "and 9 by earlier runs" in said[1]
    assert "--again publishes it all once more" in said[-1]
    run(*IMPORT, "--again")
    assert len(desk.seats()) == 18


def test_bad_rows_are_told_counted_and_kept(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    with Path("prices.csv").open("a") as file:
        file.write(f"e1,cheap,{at(0)},9\ne1,,{at(0)},10\ne1,dear,{at(0)},11\n")
    run(*IMPORT, "--rejects", "bad.csv")
    told = capsys.readouterr()
    assert [line.split(": ")[:3] for line in told.err.splitlines()] == [
        ["row 11", "unmappable", "price"],
        ["row 13", "unmappable", "price"],
    ]
    assert "  skipped     3" in told.out
    assert "    unmappable: 2, the first: row 11: price: 'cheap'" in told.out
    assert "    unpriced: 1, the first: row 12: " in told.out
    assert Path("bad.csv").read_text() == f"event,price,seen,seat\ne1,cheap,{at(0)},9\ne1,dear,{at(0)},11\n"
    assert len(desk.seats()) == 9


def test_a_strict_import_publishes_nothing_when_a_row_is_bad(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    with Path("prices.csv").open("a") as file:
        file.write(f"e1,cheap,{at(0)},9\n")
    run(*IMPORT, "--strict", status=1)
    said = capsys.readouterr().err
    assert "row 11: unmappable: price" in said
    assert "nothing was published" in said
    assert desk.messages() == []


def test_a_dry_run_shows_the_first_events_and_needs_no_broker(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:{free_port()}")
    configuration.load.cache_clear()
    run(*IMPORT, "--dry-run")
    said = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["seat"] for line in said[:3]] == ["0", "1", "2"]
    assert said[3] == "replay of the file prices.csv, a dry run: nothing was published"
    assert "  to publish  9, from 2026-11-23T12:00:00+00:00 to 2026-11-23T12:00:08+00:00" in said
    run("lake", "--dry-run", "--json")
    summary = json.loads(capsys.readouterr().out)
    assert (summary["would_publish"], len(summary["first"])) == (5, 3)


def test_a_dry_run_shows_shifted_times(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    before = datetime.now(UTC)
    run("lake", "--dry-run", "--json", "--shift", "--speed", "max")
    summary = json.loads(capsys.readouterr().out)
    first = datetime.fromisoformat(summary["first"][0]["timestamp"])
    assert before - timedelta(hours=4) <= first <= datetime.now(UTC) - timedelta(hours=4)
    assert summary["shift_seconds"] == pytest.approx((first - NOON).total_seconds())
    assert summary["from"] == first.isoformat(timespec="seconds")


def test_the_summary_as_json(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    with Path("prices.csv").open("a") as file:
        file.write(f"e1,cheap,{at(0)},9\n")
    run(*IMPORT, "--json")
    summary = json.loads(capsys.readouterr().out)
    assert summary.pop("seconds") >= 0
    assert re.fullmatch("[0-9a-f]{16}", summary.pop("id"))
    (first,) = summary["skipped"].pop("unmappable").pop("first")
    assert first.startswith("row 11: price: 'cheap'")
    assert summary == {
        "into": "raw_prices", "finished": True, "published": 9, "published_before": 0, "total": 9, "shift_seconds": 0.0,
        "from": "2026-11-23T12:00:00+00:00", "to": "2026-11-23T12:00:08+00:00", "skipped": {},
    }  # fmt: skip


def test_a_range_of_the_lake_is_replayed(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    run("lake", "--since", "2026-11-23T13:00:00Z", "--until", "2026-11-23T15:00", "--speed", "max")
    assert desk.seats() == [1, 2]
    run("lake", "--since", "2026-11-23", "--until", "2026-11-23", "--event", "e0", "--event", "e4", "--speed", "max")
    assert desk.seats() == [0, 1, 2, 4]
    run("lake", "--source", "nobody", "--speed", "max")
    assert "published   0 in" in capsys.readouterr().out


def test_a_topic_is_replayed_into_another_under_the_prefix(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_TOPIC_PREFIX", "rehearsal_")
    configuration.load.cache_clear()
    desk.write(b"so that it is there", topic="rehearsal_raw_prices")
    values = [message(event_id="e1", timestamp=at(n), seat=str(n)) for n in range(6)]
    desk.write(*values, topic="elsewhere", partition=2)
    run("topic", "elsewhere", "--range", "2:1..3", "--range", "0:..9", "--speed", "max")
    assert desk.seats("rehearsal_raw_prices") == [1, 2, 3]
    run("topic", "elsewhere", "--range", "2:5..", "--into", "raw_prices", "--speed", "max")
    assert desk.seats() == [5]


def test_a_stopped_replay_answers_1_and_says_how_it_goes_on(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(command, "_stop_on_signals", lambda: [True])
        run(*IMPORT, status=1)
    assert "  left        9: the same command goes on with them" in capsys.readouterr().out
    run(*IMPORT)
    assert desk.seats() == list(range(9))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lake", "nowhere"], "there is no lake at nowhere"),
        (["file", "missing.csv", "--map", "map.toml"], "missing.csv: No such file"),
        (["file", "prices.csv", "--map", "missing.toml"], "missing.toml"),
        (["file", "prices.csv", "--map", "prices.csv"], "prices.csv is not TOML"),
        (["file", "prices.csv", "--map", "empty.toml"], "event_id is missing"),
        ([*IMPORT, "--rejects", "./prices.csv"], "--rejects names the very file that is read"),
        ([*IMPORT, "--into", "nowhere"], "there is no topic 'nowhere'"),
        (["topic", "nowhere"], "there is no topic 'nowhere'"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_in_one_line(
    desk: Desk, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    Path("empty.toml").touch()
    before = Path("prices.csv").read_text()
    run(*arguments, status=1)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("replay: ")
    assert said in line
    assert Path("prices.csv").read_text() == before
    assert desk.messages() == []


def test_a_broker_out_of_reach_is_said(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.topics._TIMEOUT", 0.3)
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", address)
    configuration.load.cache_clear()
    run(*IMPORT, status=1)
    assert f"replay: Kafka at {address}: " in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["lake", "--speed", "0"], ["lake", "--speed", "-1"], ["lake", "--speed", "nan"], ["lake", "--speed", "fast"],
        ["lake", "--since", "someday"], ["topic", "x", "--range", "5..6"], ["topic", "x", "--range", "0:a..b"],
        ["file", "prices.csv"], [],
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m connectors.replay" in capsys.readouterr().err


def test_the_guides_commands_are_understood_and_its_map_is_the_example() -> None:
    guide = (ROOT / "docs/guides/replay.md").read_text()
    commands = [
        shlex.split(line.strip("$| `"))
        for line in re.findall(r"python -m connectors\.replay (?:file|lake|topic)[^`\n]*", guide)
    ]
    assert len(commands) >= 7
    for words in commands:
        assert command._parser().parse_args(words[3:]).kind == words[3]
    example = (ROOT / "feeds/examples/broadway.toml").read_text()
    (told,) = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    assert tomllib.loads(told) == tomllib.loads(example)


def test_days_are_whole_and_in_utc() -> None:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    assert command._start("2026-11-23") == datetime(2026, 11, 23, tzinfo=UTC)
    assert command._end("2026-11-23") == datetime(2026, 11, 24, tzinfo=UTC)
    assert command._end("2026-11-23T12:30") == datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
    assert command._start("2026-11-23T12:30+05:30") == datetime(2026, 11, 23, 7, tzinfo=UTC)
    assert command._end("today") - command._start("yesterday") == timedelta(days=2)
    assert abs(command._start("today") - today) <= timedelta(days=1), "1: midnight may have passed just now"


def test_a_line_now_and_then_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_EVERY_SECONDS", 0.0)
    with command._Meter() as meter:
        meter.begin(1234)
        for _ in range(250):
            meter.step()
    assert capsys.readouterr().err.splitlines() == ["replay: 100 of 1,234", "replay: 200 of 1,234"]


def test_a_bar_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with command._Meter() as meter:
        meter.begin(10)
        for _ in range(10):
            meter.step()
    assert "10/10" in capsys.readouterr().err
