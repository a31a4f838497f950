// What the browser does by itself. Called by name from callbacks/client.py; no server is asked.
"use strict";
let watching = null;
let asking = 0; // the server, by callbacks
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

  // The choices that were found, and what is chosen among them: it may not be, when the answer is to an earlier question.
  listed: function (found, value, shown) {
    if (!found) return window.dash_clientside.no_update;
    const there = new Set(found.map((option) => option.value));
    const chosen = new Set([value].flat().filter((one) => one && !there.has(one)));
    const choices = (shown || []).filter((option) => chosen.has(option.value)).concat(found);
    const same = JSON.stringify(choices) === JSON.stringify(shown);
    return same ? window.dash_clientside.no_update : choices;
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
