// A link to a table takes what the address shows, and the viewer's zone, at the moment it is followed.
"use strict";
["click", "auxclick"].forEach((way) =>
  document.addEventListener(
    way,
    (event) => {
      const link = event.target.closest && event.target.closest('a[href^="/export/"]');
      if (!link) return;
      const view = new URLSearchParams(window.location.search);
      view.set("zone", Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC");
      link.setAttribute("href", link.getAttribute("href").split("?")[0] + "?" + view.toString());
    },
    true
  )
);
