// What the browser does by itself. Called by name from callbacks/client.py; no server is asked.
"use strict";
let watching = null;
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

  // The view that the address names; what it does not name stays.
  restore: function (search) {
    const keep = window.dash_clientside.no_update;
    const asked = new URLSearchParams(search || "");
    const one = function (name, allowed) {
      const value = asked.get(name);
      return value && (!allowed || allowed.includes(value)) ? value : keep;
    };
    const many = function (name) {
      const values = asked.getAll(name).filter(Boolean);
      return values.length ? Array.from(new Set(values)).slice(0, 12) : keep;
    };
    return [
      one("event"),
      one("window", ["60", "3600", "86400"]),
      one("price", ["low", "average"]),
      one("scope", ["event", "all"]),
      many("section"),
      many("source"),
    ];
  },

  // The address that names the view, without a new entry in the history.
  remember: function (event, windowSize, price, scope, sections, sources) {
    if (!event) return window.dash_clientside.no_update;
    const view = new URLSearchParams({ event: event });
    if (windowSize !== "60") view.set("window", windowSize);
    if (price !== "low") view.set("price", price);
    if (scope !== "event") view.set("scope", scope);
    (sections || []).forEach((name) => view.append("section", name));
    (sources || []).forEach((name) => view.append("source", name));
    const search = "?" + view.toString();
    if (window.location.search !== search) {
      window.history.replaceState(window.history.state, "", window.location.pathname + search);
    }
    return search;
  },

  // The new figure with the zoom of the shown one. Plotly's uirevision alone would do that, did Dash (4.4) not write
  // the zoom into the figure it holds, after which Plotly takes it for the program's and not the viewer's.
  draw: function (figure, name) {
    const plot = document.getElementById(name).querySelector(".js-plotly-plot");
    if (plot && plot._dragging) return window.dash_clientside.no_update; // not under a moving hand
    const shown = plot && plot.layout;
    if (!figure || !shown || shown.uirevision !== figure.layout.uirevision) return figure;
    const layout = Object.assign({}, figure.layout);
    ["xaxis", "yaxis"].forEach((axis) => {
      const range = shown[axis] && shown[axis].autorange === false && shown[axis].range;
      if (range) layout[axis] = Object.assign({}, layout[axis], { range: range.slice(), autorange: false });
    });
    return Object.assign({}, figure, { layout: layout });
  },

  // Hidden while the server answers our ticks; six unanswered ones are nine seconds.
  offline: function (tick, answered) {
    return !(tick && tick - (answered || 0) > 6);
  },
};
