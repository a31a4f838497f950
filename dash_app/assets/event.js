// What the event's chart does in the browser by itself. Called by name from pages/event/chart.py; no server is asked.
"use strict";
(function () {
  const isZoom = (span) => typeof span === "string" && span.includes("_");
  const USUAL = "1w";

  // An axis' time, which is on the viewer's clock, as UTC: 20261123T120000Z.
  function stamp(time) {
    const parts = String(time).match(/^(\d+)-(\d+)-(\d+)(?:[ T](\d+):(\d+)(?::(\d+))?)?/);
    if (!parts) return null;
    const [year, month, day, hour, minute, second] = parts.slice(1).map((part) => Number(part || 0));
    const utc = new Date(year, month - 1, day, hour, minute, second);
    return utc.toISOString().replace(/[-:]/g, "").replace(/\.\d+/, "");
  }

  const days = (distance) => "d" + Number(distance).toFixed(4).replace(/\.?0+$/, "");

  function zoomed(moved) {
    const ends = moved["xaxis.range"] || [moved["xaxis.range[0]"], moved["xaxis.range[1]"]];
    if (ends[0] === undefined || ends[1] === undefined) return null;
    const [begin, end] = typeof ends[0] === "number" ? ends.map(days) : ends.map(stamp);
    return begin && end && begin !== end ? begin + "_" + end : null;
  }

  Object.assign(window.dash_clientside.conscope, {
    // Sets the event to begin with, while none is chosen or the chosen one is not known. Not as an output: then whatever
    // needs the event would wait for every search.
    begin: function (found, chosen, name) {
      const needed = found && found.first && (!chosen || chosen === found.lost);
      if (needed) window.dash_clientside.set_props(name, { value: found.first });
      return window.dash_clientside.no_update;
    },

    // Sets the data of another part. Not as an output: then whatever needs that would wait for whatever this came from.
    pass_on: function (data, name) {
      window.dash_clientside.set_props(name, { data: data });
    },

    // The stretch of time that is shown: a button's, or that of a zoom by hand; and the button that is pressed.
    span: function (button, moved, align, span) {
      const untouched = window.dash_clientside.no_update;
      const by = (window.dash_clientside.callback_context.triggered || []).map((one) => one.prop_id);
      if (by.some((name) => name.startsWith("event-align."))) {
        return isZoom(span) ? [USUAL, USUAL] : [untouched, untouched]; // a time is no distance
      }
      if (by.some((name) => name.startsWith("event-range."))) return button ? [button, untouched] : [untouched, untouched];
      if (!moved) return [untouched, untouched];
      if (moved["xaxis.autorange"]) return isZoom(span) ? [USUAL, USUAL] : [untouched, untouched];
      const chosen = zoomed(moved);
      return chosen && chosen !== span ? [chosen, ""] : [untouched, untouched];
    },

    // The new figure with the zoom of the shown one. Plotly's uirevision alone would do that, did Dash (4.4) not write
    // the zoom into the figure it holds, after which Plotly takes it for the program's and not the viewer's.
    draw: function (figure, name, span) {
      const untouched = window.dash_clientside.no_update;
      const plot = document.getElementById(name).querySelector(".js-plotly-plot");
      if (plot && plot._dragging) return untouched; // not under a moving hand
      if (!figure) return untouched;
      const layout = Object.assign({}, figure.layout);
      if (window.matchMedia("(pointer: coarse)").matches) layout.dragmode = false; // a finger scrolls the page
      const narrow = plot && plot.clientWidth < 560;
      if (narrow) layout.height += 20 * figure.data.filter((trace) => trace.showlegend !== false).length; // a line each
      const shown = plot && plot.layout;
      if (shown && shown.uirevision === layout.uirevision) {
        ["xaxis", "yaxis"].forEach((axis) => {
          const old = shown[axis];
          const stays = old && old.autorange === false && old.range && (isZoom(span) || old.uirevision === layout[axis].uirevision);
          if (stays) layout[axis] = Object.assign({}, layout[axis], { range: old.range.slice(), autorange: false });
        });
      }
      return Object.assign({}, figure, { layout: layout });
    },
  });
})();
