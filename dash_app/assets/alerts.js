// The alerts page: clicks that say what they do, the form's cases, and a trial at a time while a rule is typed.
"use strict";
window.dash_clientside = window.dash_clientside || {};
window.dashMantineFunctions = window.dashMantineFunctions || {};

// What the server found is shown as it is: it looks for each word by itself, which Mantine does not.
window.dashMantineFunctions.alertsAsFound = (list) => list.options;

(function () {
  const dash = () => window.dash_clientside;
  let clicks = 0;

  // A part with data-act writes its data-value to the store of that name. A small menu closes with any click but those
  // on its own button, and with Escape.
  const menus = () => Array.from(document.querySelectorAll("details.small-menu[open]"));
  document.addEventListener("click", (event) => {
    const part = event.target.closest && event.target.closest("[data-act]");
    if (part) dash().set_props(part.dataset.act, { data: { value: part.dataset.value, click: ++clicks } });
    menus().forEach((menu) => menu.firstElementChild.contains(event.target) || (menu.open = false));
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menus().forEach((menu) => {
      menu.open = false;
      menu.firstElementChild.focus();
    });
  });

  let asked = { number: 0, key: "", at: 0 };
  let answered = 0;
  let latest = null;
  let typing = null;
  const TYPING = 350; // milliseconds without a key, before a trial; what is saved is at any time what stands in the form

  // Asks for the latest of what was typed, unless an answer is still to come (or has not for 20 seconds).
  function send() {
    const key = JSON.stringify(latest);
    const free = answered === asked.number || Date.now() - asked.at > 20000;
    if (latest === null || key === asked.key || !free) return;
    asked = { number: asked.number + 1, key: key, at: Date.now() };
    dash().set_props("alerts-asked", { data: Object.assign({ number: asked.number }, latest) });
  }

  dash().conscope_alerts = {
    // The form's class says which of its fields have a meaning now.
    cases: function (scope, condition, reference, rearm, quiet) {
      const moves = condition === "drop" || condition === "rise";
      const shown = {
        event: scope === "event",
        search: scope === "search",
        moves: moves,
        days: condition === "new_low" || (moves && reference === "median"),
        [condition]: true,
        [rearm]: true,
        quiet: quiet,
      };
      return "rule-form " + Object.keys(shown).filter((name) => shown[name]).map((name) => "is-" + name).join(" ");
    },

    // On whose clock quiet hours are: the rule's, or else the viewer's.
    quiet: function (own, zone) {
      return "On the clock of " + (own || zone || "UTC").replaceAll("_", " ") + ". What comes meanwhile waits, and is joined.";
    },

    // What the form says now, to be tried; nothing is while it is closed.
    typed: function (opened, zone, scheme, far, edited, ...values) {
      latest = opened ? { values: values, zone: zone, scheme: scheme, far: far ? far.click : 0 } : null;
      if (!opened) asked.key = "";
      clearTimeout(typing);
      typing = setTimeout(send, TYPING);
      return dash().no_update;
    },

    answered: function (answer) {
      if (!answer) return;
      answered = answer.number;
      send();
    },

    // The price that the trial's answer suggests.
    adopt: function (taken) {
      return taken ? Number(taken.value) : dash().no_update;
    },

    shut: function (clicks) {
      return clicks ? false : dash().no_update;
    },

    why: function (taken) {
      return taken ? [taken.value, true] : [dash().no_update, dash().no_update];
    },

    // The address names whose "why" is shown no longer.
    closed: function (opened) {
      if (opened === false) dash().set_props("alerts-why-rule", { data: null });
    },
  };
})();
