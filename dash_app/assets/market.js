// The market's grid: it asks for the rows it shows, keeps them fresh, and draws its cells. Strings of the outside are only ever
// text to React.
"use strict";
(function () {
  const dash = window.dash_clientside;
  const cell = (...parts) => window.React.createElement(...parts);
  const look = { api: null, asked: {}, failed: false, version: null, narrow: null };
  const rest = ["change", "history", "path", "listings", "date", "sources", "seen"];
  const sortOf = (model) => (model.length ? (model[0].sort === "desc" ? "-" : "") + model[0].colId : "date");

  function open(href) {
    window.history.pushState({}, "", href);
    window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
    window.scrollTo(0, 0);
  }

  function say(total) {
    const words = total === 0 ? "No event matches" : total.toLocaleString("en") + (total === 1 ? " event" : " events");
    dash.set_props("market-count", { children: words });
    if (total === 0) look.api.showNoRowsOverlay();
    else look.api.hideOverlay();
  }

  const rows = {
    getRows: async function (block) {
      const view = new URLSearchParams({ sort: sortOf(block.sortModel), start: block.startRow, end: block.endRow });
      Object.entries(look.asked).forEach(([name, value]) => [value].flat().forEach((one) => view.append(name, one)));
      try {
        const answer = await (await fetch("/market/rows?" + view)).json();
        if (answer.away) throw new Error("away");
        block.successCallback(answer.rows, answer.total);
        say(answer.total);
      } catch {
        look.failed = true; // a tick asks again
        block.failCallback();
      }
    },
  };

  // On a phone two columns say it all, in taller rows.
  function fit(api) {
    const narrow = document.getElementById("market-grid").clientWidth < 620;
    if (narrow === look.narrow) return;
    look.narrow = narrow;
    api.setGridOption("rowHeight", narrow ? 80 : 58);
    api.setGridOption("headerHeight", narrow ? 0 : 40);
    api.setColumnsVisible(rest, !narrow);
    api.setGridOption("datasource", rows); // as rows that are there keep their height
  }

  // Dash gives the grid a source of its own when it is ready; ours takes its place, and not the other way round.
  function attach(api) {
    if (!api.getGridOption("datasource")) return setTimeout(() => attach(api), 20);
    Object.assign(look, { api: api, narrow: null, version: null, failed: false });
    fit(api);
    api.addEventListener("gridSizeChanged", () => fit(api));
    api.addEventListener("sortChanged", () => {
      const sorted = api.getColumnState().filter((column) => column.sort);
      dash.set_props("market-sort", { value: sortOf(sorted) });
    });
    api.addEventListener("cellKeyDown", (at) => at.event.key === "Enter" && at.data && open(at.data.href));
    api.addEventListener("cellClicked", (at) => {
      if (at.data && !at.event.defaultPrevented && !at.event.target.closest("a")) open(at.data.href);
    });
  }

  const since = (milliseconds) => {
    const seconds = Math.max(0, (Date.now() - milliseconds) / 1000);
    if (seconds < 120) return "just now";
    const [size, unit] = seconds < 7200 ? [60, "min"] : seconds < 172800 ? [3600, "h"] : [86400, "d"];
    return Math.floor(seconds / size).toLocaleString("en") + " " + unit + " ago";
  };

  const pill = (row) => cell("span", { className: "pill " + row.tone }, row.change);
  const trend = (row) =>
    cell(
      "svg",
      { className: "trend", viewBox: "-2 -2 104 32", preserveAspectRatio: "none", role: "img", "aria-label": "" + row.unit + " lows" },
      cell("path", { d: row.path }),
    );
  const dot = (row) => (row.venue && row.day ? " · " : "");
  const place = (at) => ({ left: at * 100 + "%" });

  const cells = {
    MarketEvent: (row) =>
      cell(
        "span",
        { className: "market-event" },
        cell("a", { href: row.href, tabIndex: -1, className: "name", title: row.name, dir: "auto", onClick: follow }, row.name),
        cell("span", { className: "place", title: row.venue + dot(row) + row.day }, cell("bdi", null, row.venue), dot(row), row.day),
        cell("span", { className: "more" }, row.days + " · " + row.against),
      ),
    MarketPrice: (row) =>
      cell("span", { className: "market-price" }, cell("strong", null, row.price), cell("span", { className: "more" }, pill(row))),
    MarketChange: (row) =>
      cell("span", { className: "market-change" }, pill(row), row.span ? cell("span", { className: "span" }, row.span) : null),
    MarketHistory: (row) =>
      cell(
        "span",
        { className: "market-history" },
        cell("span", { className: "said" }, row.against, cell("span", { className: "sample" }, row.sample)),
        cell(
          "span",
          { className: "range", "aria-hidden": true },
          cell("i", { className: "mark", style: place(row.mark) }),
          cell("i", { className: "at", style: place(row.at) }),
        ),
        cell("span", { className: "ends" }, cell("span", null, row.low), cell("span", null, row.typical), cell("span", null, row.high)),
      ),
    MarketTrend: (row) => trend(row),
    MarketDays: (row) => row.days,
    MarketSources: (row) => cell("span", { className: "market-sources", title: row.every_source }, row.sources),
    MarketSeen: (row) => since(row.seen),
  };

  function follow(click) {
    if (click.button || click.metaKey || click.ctrlKey || click.shiftKey || click.altKey) return;
    click.preventDefault();
    open(click.currentTarget.getAttribute("href"));
  }

  // A row that is on its way is a bar to be filled.
  const drawn = (draw) => (at) => (at.data ? draw(at.data) : cell("span", { className: "awaited" }));
  window.dashAgGridComponentFunctions = Object.assign(
    window.dashAgGridComponentFunctions || {},
    Object.fromEntries(Object.entries(cells).map(([name, draw]) => [name, drawn(draw)])),
  );

  dash.market = {
    // What is asked for has changed: begin at the top.
    ask: function (words, when, sources, most, sort, zone, name) {
      if (!zone) return dash.no_update;
      const said = { q: words, when: when, source: sources || [], most: most, zone: zone };
      look.asked = Object.fromEntries(Object.entries(said).filter(([, value]) => value !== "" && value !== null && value !== undefined));
      const sorted = dash.callback_context.triggered_id === "market-sort";
      window.dash_ag_grid.getApiAsync(name).then((api) => {
        if (look.api !== api) return attach(api);
        api.ensureIndexVisible(0, "top");
        if (!sorted) return api.purgeInfiniteCache();
        const by = { colId: sort.replace("-", ""), sort: sort[0] === "-" ? "desc" : "asc" };
        api.applyColumnState({ state: [by], defaultState: { sort: null } });
      });
      return dash.no_update;
    },

    // New rows, in their place, without moving anything; every so often how long ago they were seen.
    refresh: function (version) {
      const api = look.api;
      if (!api || api.isDestroyed()) return dash.no_update;
      if (look.version === null) look.version = version; // what is shown was asked for since
      if (version !== look.version || look.failed) {
        look.version = version;
        look.failed = false;
        api.refreshInfiniteCache();
      } else if (dash.callback_context.triggered_id === "slow") {
        api.refreshCells({ columns: ["seen"], force: true });
      }
      return dash.no_update;
    },

    clear: () => ["", "upcoming", [], ""],
  };
})();
