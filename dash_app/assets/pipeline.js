// What the browser does by itself on the sources and pipeline pages.
"use strict";
window.dash_clientside = window.dash_clientside || {};
window.dash_clientside.conscope = Object.assign(window.dash_clientside.conscope || {}, {
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
