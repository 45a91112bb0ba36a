// Runs before anything is painted, so that a page never flashes in the wrong colours.
(function () {
  "use strict";
  try {
    var chosen = localStorage.getItem("theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch (error) {
    // Storage is switched off: the system's choice stands.
  }
})();
