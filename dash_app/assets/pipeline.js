// What the browser does by itself on the sources and pipeline pages.
"use strict";
window.dash_clientside = window.dash_clientside || {};
window.dash_clientside.conscope = Object.assign(window.dash_clientside.conscope || {}, {
  // The new chart with the zoom of the shown one, while both show the same view. Plotly's uirevision alone would do that,
  // did Dash (4.4) not write the zoom into the figure it holds, after which Plotly takes it for the program's.
  drawReadings: function (figure, name) {
    const plot = document.getElementById(name).querySelector(".js-plotly-plot");
    if (!figure || (plot && plot._dragging)) return window.dash_clientside.no_update; // not under a moving hand
    const shown = plot && plot.layout;
    if (!shown || shown.uirevision !== figure.layout.uirevision) return figure;
    const layout = Object.assign({}, figure.layout);
    ["xaxis", "yaxis"].forEach((axis) => {
      const range = shown[axis] && shown[axis].autorange === false && shown[axis].range;
      if (range) layout[axis] = Object.assign({}, layout[axis], { range: range.slice(), autorange: false });
    });
    return Object.assign({}, figure, { layout: layout });
  },

  // A name for the input that Dash's upload hides, once its dialogue is there: screen readers find it all the same.
  nameUpload: function (opened, name) {
    const look = (times) => {
      const input = document.querySelector("#" + name + " input[type=file]");
      if (input) input.setAttribute("aria-label", "CSV file of entries");
      else if (times) setTimeout(() => look(times - 1), 50);
    };
    if (opened) look(40);
    return window.dash_clientside.no_update;
  },
});
