// The lists of links to tables. A link takes what the address shows, and the viewer's zone, at the moment it is followed.
"use strict";
(function () {
  const open = () => document.querySelectorAll("details.export[open]");

  ["click", "auxclick"].forEach((way) =>
    document.addEventListener(way, (event) => {
      const link = event.target.closest('a[href^="/export/"]');
      if (link) {
        const view = new URLSearchParams(window.location.search);
        view.set("zone", Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC");
        link.setAttribute("href", link.getAttribute("href").split("?")[0] + "?" + view.toString());
      }
      open().forEach((list) => (link || !list.contains(event.target)) && list.removeAttribute("open"));
    })
  );

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    open().forEach((list) => {
      list.removeAttribute("open");
      list.querySelector("summary").focus();
    });
  });

  // Going on by keyboard leaves the list behind.
  document.addEventListener("focusin", (event) =>
    open().forEach((list) => !list.contains(event.target) && list.removeAttribute("open"))
  );
})();
