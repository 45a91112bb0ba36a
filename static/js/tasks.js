// The list of tasks: what is ticked stays ticked when the list changes, and an open menu is not taken away.
(function () {
  "use strict";

  let ticked = [];

  document.addEventListener("htmx:beforeSwap", (event) => {
    const part = event.detail.target;
    if (part.id !== "tasks-now") return;
    if (part.querySelector("details[open]")) {
      event.detail.shouldSwap = false;
      return;
    }
    ticked = Array.from(part.querySelectorAll("input:checked"), (box) => box.id);
  });

  document.addEventListener("htmx:afterSwap", () => {
    for (const id of ticked) {
      const box = document.getElementById(id);
      if (box) box.checked = true;
    }
    ticked = [];
  });

  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
})();
