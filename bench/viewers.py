"""Viewers of the dashboard without a browser: they ask for what Dash's renderer would ask for, when it would.

Kept of the renderer: the order of callbacks (one waits for those that write its inputs), one call for all inputs that
changed together, components that appear and bring their callbacks with them, an answer that changes nothing. The
callbacks of the browser's own do nothing here, save that the viewer's zone and scheme are set, and that a grid asks for
its first rows, and again when they have changed. Callbacks whose parts are named by a pattern are left out.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx

sys.modules.setdefault("trio", None)  # type: ignore[arg-type] # or httpcore looks for it on the disk at each request
_SOURCE = re.compile(r'(?:src|href)="/?((?:_dash-component-suites|assets)/[^"]+)"')
_TICK = 1.5
# What the page's own script passes on: the part that is answered, and the property that gets it.
_PASSED_ON = {"event-told": ("event-news", "data")}
# The rows of a grid, which the page's own script asks for: (what it shows the version of, where the rows are).
_GRIDS = {
    "/": ("market-version", "/market/rows?sort=date&start=0&end=50&when=upcoming&zone=America/New_York"),
    "/event": ("now-token", "/event/listings?by=-deal&start=0&end=100&party=1&zone=America/New_York&event="),
}


@dataclass
class Figures:
    """What was measured, in milliseconds."""

    callbacks: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    sizes: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    cold: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    bytes_cold: list[int] = field(default_factory=list)
    bytes_warm: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    left_out: set[str] = field(default_factory=set)

    @property
    def everything(self) -> list[float]:
        """The time of each callback, whichever it was."""
        return [spent for spends in self.callbacks.values() for spent in spends]


@dataclass(frozen=True)
class _Callback:
    output: str
    outputs: Any
    inputs: list[dict[str, Any]]
    state: list[dict[str, Any]]
    at_start: bool

    @cached_property
    def name(self) -> str:
        """Its first output, which is how people know it."""
        first = self.outputs[0] if isinstance(self.outputs, list) else self.outputs
        return f"{first['id']}.{first['property'].split('@')[0]}"

    @cached_property
    def writes(self) -> set[str]:
        """What it writes, as `id.property`."""
        every = self.outputs if isinstance(self.outputs, list) else [self.outputs]
        return {f"{one['id']}.{one['property'].split('@')[0]}" for one in every}

    @cached_property
    def reads(self) -> set[str]:
        """What sets it off."""
        return {f"{one['id']}.{one['property']}" for one in self.inputs}

    @cached_property
    def parts(self) -> set[str]:
        """The ids it needs on the page."""
        return {name.rpartition(".")[0] for name in self.writes | self.reads}


class Viewer:
    """One viewer with one page open.

    Args:
        base: the dashboard's address.
        path: the page, with its search part.
        figures: where measurements go.
    """

    def __init__(self, base: str, path: str, figures: Figures, seed: int) -> None:
        self.path, self.figures, self._dice = path, figures, random.Random(seed)
        # A browser opens six connections to a host at most.
        self._http = httpx.AsyncClient(
            base_url=base, timeout=60, headers={"Accept-Encoding": "gzip"},
            limits=httpx.Limits(max_connections=6, keepalive_expiry=25),
        )  # fmt: skip
        self._kept: set[str] = set()
        self._values: dict[str, dict[str, Any]] = {}
        self._callbacks: list[_Callback] = []
        self._in_browser: set[str] = set()
        self._shown: tuple[Any, Any] | None = None
        self.received = 0

    async def close(self) -> None:
        """Leave."""
        await self._http.aclose()

    async def visit(self) -> None:
        """Open the page, with what is in the browser's cache, until all its callbacks have been answered."""
        began, before, cold = time.perf_counter(), self.received, not self._kept
        page = (await self._get("/" + self.path.lstrip("/"))).decode()
        names = {name for name in _SOURCE.findall(page) if name not in self._kept}
        await asyncio.gather(*(self._get("/" + name) for name in names))
        self._kept |= names
        self._shown = None
        laid, wired = await asyncio.gather(self._get("/_dash-layout"), self._get("/_dash-dependencies"))
        self._values = {}
        self._read_dependencies(json.loads(wired))
        added = self._walk(json.loads(laid))
        pathname, _, search = self.path.partition("?")
        self._values["url"] |= {"pathname": pathname, "search": f"?{search}" if search else ""}
        self._values["zone"] |= {"data": "America/New_York"}
        self._values["scheme"] |= {"data": "light"}
        await self._settle(self._starting(added))
        await self._rows()
        spent, size = (time.perf_counter() - began) * 1000, self.received - before
        (self.figures.cold if cold else self.figures.warm).append(spent)
        (self.figures.bytes_cold if cold else self.figures.bytes_warm).append(size)

    async def watch(self, until: float, events: int) -> None:
        """Let the page tick until then; choose another event now and then, and load the page anew."""
        beat = 0
        while time.perf_counter() < until:
            began = time.perf_counter()
            beat += 1
            changed = self._set("tick", "n_intervals", beat)
            if beat % 10 == 0:
                changed |= self._set("slow", "n_intervals", beat // 10)
            if beat % 6 == self._dice.randrange(6) and "event" in self._values and self.path.startswith("/event"):
                changed |= self._set("event", "value", f"event_{self._dice.randrange(events)}")
            await self._settle(self._set_off(changed))
            await self._rows()
            if self._dice.random() < 1 / 40:
                await self.visit()
            await asyncio.sleep(max(0.0, _TICK - (time.perf_counter() - began)))

    async def _rows(self) -> None:
        """Ask for the grid's rows, when another event or a newer version is to be shown."""
        page = self.path.partition("?")[0]
        if page not in _GRIDS:
            return
        token, where = _GRIDS[page]
        event, version = (self._values.get(part, {}).get(name) for part, name in (("event", "value"), (token, "data")))
        if page == "/event":
            where += f"{event}&version={version}"
        if self._shown == (event, version):
            return
        self._shown = (event, version)
        name = f"GET {where.partition('?')[0]}"
        answer = await self._timed(name, self._http.get(where))
        if page == "/" and answer.status_code == 200 and not answer.json().get("rows"):
            self.figures.failures.append(f"no rows from {name}")

    def _read_dependencies(self, wired: list[dict[str, Any]]) -> None:
        self._callbacks, self._in_browser = [], set()
        for one in wired:
            patterned = "{" in one["output"] or any("{" in part["id"] for part in [*one["inputs"], *one["state"]])
            if one["clientside_function"]:
                self._in_browser.add(one["output"])
                continue
            if patterned:
                self.figures.left_out.add(one["output"][:60])
                continue
            parts = one["output"][2:-2].split("...") if one["output"].startswith("..") else None
            named = [
                dict(zip(("id", "property"), part.rsplit(".", 1), strict=True)) for part in parts or [one["output"]]
            ]
            initial = one["prevent_initial_call"] is not True
            self._callbacks.append(
                _Callback(one["output"], named if parts else named[0], one["inputs"], one["state"], initial)
            )

    async def _get(self, path: str) -> bytes:
        answer = await self._http.get(path)
        self._note(answer, path)
        return answer.content

    def _note(self, answer: httpx.Response, what: str) -> None:
        self.received += answer.num_bytes_downloaded
        if answer.status_code >= 400:
            self.figures.failures.append(f"{answer.status_code} {what}")

    def _walk(self, node: Any) -> set[str]:
        """Note the components below, and give their ids."""
        if isinstance(node, list):
            return set().union(*map(self._walk, node))
        if not isinstance(node, dict):
            return set()
        if not (isinstance(node.get("props"), dict) and "type" in node):
            return set().union(*map(self._walk, node.values()))
        found = set().union(*map(self._walk, node["props"].values()))
        if isinstance(name := node["props"].get("id"), str):
            self._values[name] = dict(node["props"])
            found.add(name)
        return found

    def _set(self, part: str, name: str, value: Any) -> set[str]:
        self._values.setdefault(part, {})[name] = value
        return {f"{part}.{name}"} | (self._set(*_PASSED_ON[part], value) if part in _PASSED_ON else set())

    def _present(self, callback: _Callback) -> bool:
        return callback.parts <= self._values.keys()

    def _starting(self, added: set[str]) -> dict[str, set[str]]:
        """The callbacks that components bring with them when they appear."""
        return {
            callback.output: set() for callback in self._callbacks
            if callback.at_start and self._present(callback)
            and ({name.rpartition(".")[0] for name in callback.writes | callback.reads} & added)
        }  # fmt: skip

    def _set_off(self, changed: set[str]) -> dict[str, set[str]]:
        return {
            callback.output: callback.reads & changed
            for callback in self._callbacks
            if callback.reads & changed and self._present(callback)
        }

    async def _settle(self, waiting: dict[str, set[str]]) -> None:
        """Ask what is to be asked, and what that sets off, until nothing is left."""
        known = {callback.output: callback for callback in self._callbacks}
        for _ in range(12):  # rounds; a page that needs more goes in circles
            if not waiting:
                return
            to_come = {name: set(known[name].writes) for name in waiting}
            ready = [
                name for name in waiting
                if not any(known[name].reads & writes for other, writes in to_come.items() if other != name)
            ] or list(waiting)  # fmt: skip
            asked = [(name, waiting.pop(name)) for name in ready]
            for changed, added in await asyncio.gather(*(self._ask(known[name], by) for name, by in asked)):
                for name, by in {**self._starting(added), **self._set_off(changed)}.items():
                    waiting.setdefault(name, set()).update(by)
        self.figures.failures.append(f"never settled: {sorted(waiting)[:3]}")

    async def _timed(self, name: str, asked: Awaitable[httpx.Response]) -> httpx.Response:
        began = time.perf_counter()
        answer = await asked
        self.figures.callbacks[name].append((time.perf_counter() - began) * 1000)
        self.figures.sizes[name].append(answer.num_bytes_downloaded)
        self._note(answer, name)
        return answer

    async def _ask(self, callback: _Callback, by: set[str]) -> tuple[set[str], set[str]]:
        """Call; gives the properties that changed and the components that appeared."""
        body = {
            "output": callback.output, "outputs": callback.outputs, "changedPropIds": sorted(by),
            "inputs": [{**one, "value": self._values.get(one["id"], {}).get(one["property"])} for one in callback.inputs],
            "state": [{**one, "value": self._values.get(one["id"], {}).get(one["property"])} for one in callback.state],
        }  # fmt: skip
        answer = await self._timed(callback.name, self._http.post("/_dash-update-component", json=body))
        if answer.status_code != 200:
            return set(), set()
        changed, added = set[str](), set[str]()
        for part, properties in answer.json()["response"].items():
            for name, value in properties.items():
                changed |= self._set(part, name, value)
                added |= self._walk(value)
        return changed, added
