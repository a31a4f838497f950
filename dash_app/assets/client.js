// What the browser does by itself. Called by name from shell/; no server is asked.
"use strict";
let watching = null;
let asking = 0; // the server, by callbacks
const SEPARATOR = "\n"; // between the values of a select of several, as shell/search.py says
const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
const send = window.fetch;
window.fetch = function (...asked) {
  const answer = send.apply(window, asked);
  if (String(asked[0]).includes("_dash-update-component")) {
    const answered = () => (asking -= 1);
    asking += 1;
    answer.then(answered, answered);
  }
  return answer;
};
window.dash_clientside = window.dash_clientside || {};
window.dash_clientside.conscope = {
  // The viewer's time zone, by its IANA name.
  zone: function () {
    return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  },

  // "light" or "dark", as the page is shown now and whenever that changes.
  scheme: function () {
    const page = document.documentElement;
    const shown = () => page.getAttribute("data-mantine-color-scheme") || "light";
    if (!watching) {
      watching = new MutationObserver(() => window.dash_clientside.set_props("scheme", { data: shown() }));
      watching.observe(page, { attributes: true, attributeFilter: ["data-mantine-color-scheme"] });
    }
    return shown();
  },

  // Marks the page in the navigation, and names the window after it.
  arrive: function (path, name) {
    const ways = Array.from(document.getElementById(name).querySelectorAll("a"));
    const here = ways.find((way) => way.pathname === (path || "/").replace(/(.)\/$/, "$1"));
    ways.forEach((way) => (way === here ? way.setAttribute("aria-current", "page") : way.removeAttribute("aria-current")));
    document.title = here && here.pathname !== "/" ? here.textContent + " · ConScope" : "ConScope";
    return window.dash_clientside.no_update;
  },

  // The address that names what a page shows, without a new entry in the history.
  remember: function (path, names, values) {
    const view = new URLSearchParams();
    names.forEach(([name, usual], index) => {
      [values[index]].flat().forEach((value) => {
        if (value !== null && value !== undefined && value !== "" && value !== usual) view.append(name, value);
      });
    });
    const search = view.size ? "?" + view.toString() : "";
    const here = window.location;
    if (here.pathname === path || (path === "/event" && here.pathname === "/")) {
      if (here.search !== search || here.pathname !== path) {
        window.history.replaceState(window.history.state, "", path + search);
      }
    }
    return search;
  },

  // Shows the choices that were found, with what is chosen among them: it may not be, when the answer is to an earlier
  // question. What the field holds counts before what it has told Dash: it tells a moment after somebody chose, and until
  // then new choices would bring back what was chosen before (dash-mantine-components 2.8). Only what it offers can have
  // been chosen, or emptied; else the page itself has set a value that the field does not hold yet.
  listed: function (found, told, shown, name) {
    if (!found) return;
    const offered = new Set((shown || []).map((option) => option.value));
    const all = (values) => values.every((one) => offered.has(one));
    const several = Array.isArray(told);
    const field = document.getElementById(name)?.closest(".searched")?.querySelector("input[type=hidden]");
    const held = !field ? null : field.value === "" ? [] : several ? field.value.split(SEPARATOR) : [field.value];
    const counts = held && all(held.length ? held : [told ?? []].flat());
    const chosen = !counts ? told : several ? held : held[0] ?? null;
    const there = new Set(found.map((option) => option.value));
    const missing = new Set([chosen].flat().filter((one) => one && !there.has(one)));
    const choices = (shown || []).filter((option) => missing.has(option.value)).concat(found);
    if (same(choices, shown)) return;
    window.dash_clientside.set_props(name, same(chosen, told ?? null) ? { data: choices } : { data: choices, value: chosen });
  },

  // A beat is a tick, unless answers are under way: Dash drops an answer when the same is asked again, so that where
  // answers take longer than a beat, none would be shown. Nine beats are waited, and no more: an answer may never come.
  tick: function (beat, tick) {
    return asking && beat && beat - (tick || 0) < 9 ? window.dash_clientside.no_update : beat;
  },

  // Hidden while the server answers our ticks; ten beats without an answer are fifteen seconds.
  offline: function (beat, answered) {
    return !(beat && beat - (answered || 0) > 10);
  },
};
