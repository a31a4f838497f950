// What an event offers: its table asks for the rows it shows, and a listing opens in a drawer. Strings of the outside are
// only ever text to React; links come checked from the server.
"use strict";
(function () {
  const dash = window.dash_clientside;
  const cell = (...parts) => window.React.createElement(...parts);
  const look = { api: null, asked: {}, version: null, failed: false, narrow: null, number: 0 };
  const wide = ["section", "row", "seat", "tickets", "fees", "than", "source", "seen", "link"];
  const sortOf = (model) => (model.length ? (model[0].sort === "desc" ? "-" : "") + model[0].colId : "price");
  const open = (key) => dash.set_props("now-listing", { data: key });

  function say(answer, height) {
    const words = (number) => number.toLocaleString("en") + (number === 1 ? " listing" : " listings");
    const some = answer.total < answer.all ? answer.total.toLocaleString("en") + " of " + words(answer.all) : words(answer.all);
    dash.set_props("now-count", { children: some });
    const grid = document.getElementById("now-grid");
    if (grid) grid.style.height = Math.min(620, Math.max(answer.total, 3) * height + (look.narrow ? 4 : 46)) + "px";
    if (answer.total === 0) look.api.showNoRowsOverlay();
    else look.api.hideOverlay();
  }

  const rows = {
    getRows: async function (block) {
      const number = ++look.number; // an answer to an earlier question may come after
      const view = new URLSearchParams({ by: sortOf(block.sortModel), start: block.startRow, end: block.endRow });
      if (look.version) view.set("version", look.version);
      Object.entries(look.asked).forEach(([name, value]) => [value].flat().forEach((one) => view.append(name, one)));
      try {
        const answer = await (await fetch("/event/listings?" + view)).json();
        if (answer.away) throw new Error("away");
        block.successCallback(answer.rows, answer.total);
        if (number === look.number) say(answer, look.narrow ? 68 : 46);
      } catch {
        look.failed = true; // a tick asks again
        block.failCallback();
      }
    },
  };

  // The grid's Dash component sets a source of its own when it is ready, which on a busy machine is after ours.
  function feed(api) {
    if (api.isDestroyed() || api.getGridOption("datasource") === rows) return;
    api.setGridOption("datasource", rows);
  }

  // On a phone two columns say it all, in taller rows.
  function fit(api) {
    const narrow = document.getElementById("now-grid").clientWidth < 620;
    if (narrow === look.narrow) return;
    look.narrow = narrow;
    api.setGridOption("rowHeight", narrow ? 68 : 46);
    api.setGridOption("headerHeight", narrow ? 0 : 40);
    api.setColumnsVisible(wide, !narrow);
    api.applyColumnState({ state: [{ colId: "deal", flex: narrow ? 1 : null, width: 150 }] });
    api.setGridOption("datasource", rows); // as rows that are there keep their height
  }

  function attach(api) {
    Object.assign(look, { api: api, narrow: null, failed: false });
    fit(api);
    setTimeout(() => feed(api), 200);
    api.addEventListener("gridSizeChanged", () => fit(api));
    api.addEventListener("sortChanged", () => {
      dash.set_props("now-sort", { data: sortOf(api.getColumnState().filter((column) => column.sort)) });
    });
    api.addEventListener("cellKeyDown", (at) => at.event.key === "Enter" && at.data && open(at.data.id));
    api.addEventListener("cellClicked", (at) => at.data && !at.event.target.closest("a") && open(at.data.id));
  }

  const pill = (row) =>
    cell("span", { className: "pill " + row.tone }, row.score ? cell("span", { className: "score" }, row.score + " ") : null, row.word);
  const link = (row) =>
    row.href
      ? cell(
          "a",
          { href: row.href, target: "_blank", rel: "noopener noreferrer", "aria-label": "Open at " + row.source + " in a new tab, " + row.place },
          "Open ↗",
        )
      : null;
  const cells = {
    NowDeal: (row) =>
      cell(
        "span",
        { className: "now-deal" },
        pill(row),
        cell("span", { className: "more", dir: "auto" }, row.place),
        cell("span", { className: "more" }, row.source + " · " + row.tickets + (row.tickets === 1 ? " ticket" : " tickets")),
      ),
    NowPrice: (row) => cell("span", { className: "now-price" }, cell("strong", null, row.price), cell("span", { className: "more" }, link(row))),
    NowThan: (row) => cell("span", { className: "now-than" }, row.than, " ", cell("span", { className: "sample" }, row.sample)),
    NowLink: link,
  };
  const text = (at) => cell("span", { dir: "auto", className: "now-text", title: String(at.data[at.colDef.field]) }, at.data[at.colDef.field]);
  const drawn = (draw) => (at) => (at.data ? draw(at) : cell("span", { className: "awaited" }));
  window.dashAgGridComponentFunctions = Object.assign(
    window.dashAgGridComponentFunctions || {},
    Object.fromEntries(Object.entries(cells).map(([name, draw]) => [name, drawn((at) => draw(at.data))])),
    { NowText: drawn(text) },
  );

  document.addEventListener("click", (click) => {
    const button = click.target.closest && click.target.closest("[data-listing]");
    if (button) open(button.getAttribute("data-listing"));
  });

  dash.listings = {
    // What is asked for has changed: begin at the top.
    ask: function (event, words, sources, most, party, zone, name) {
      if (!zone || !event) return dash.no_update;
      const said = { event: event, q: words, at: sources || [], most: most, party: party, zone: zone };
      if (event !== look.asked.event) look.version = null;
      look.asked = Object.fromEntries(Object.entries(said).filter(([, value]) => value !== "" && value !== null && value !== undefined));
      window.dash_ag_grid.getApiAsync(name).then((api) => {
        if (look.api !== api) return setTimeout(() => attach(api));
        api.ensureIndexVisible(0, "top");
        api.purgeInfiniteCache();
      });
      return dash.no_update;
    },

    // New rows in their place, without moving anything; every so often when they were seen.
    refresh: function (token) {
      const api = look.api;
      if (!token || !api || api.isDestroyed() || token[0] !== look.asked.event) return dash.no_update;
      feed(api);
      if (token[1] !== look.version || look.failed || dash.callback_context.triggered_id === "slow") {
        look.version = token[1];
        look.failed = false;
        api.refreshInfiniteCache();
      }
      return dash.no_update;
    },

    clear: () => ["", [], "", "1"],

    opened: (key) => Boolean(key),

    closed: function (opened, key) {
      if (!opened && key) open(null);
      return dash.no_update;
    },

    // A cell of the map opens its cheapest listing.
    pick: function (click) {
      const key = click && click.points && click.points[0] && click.points[0].customdata;
      if (key) open(key);
      return null; // so that the same cell can be picked again
    },
  };
})();
