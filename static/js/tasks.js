// The list of tasks: what is selected stays selected when the list changes, and an open menu is not taken away.
(function () {
  "use strict";

  let selected = [];

  function boxes() {
    return Array.from(document.querySelectorAll('#tasks-now input[name="task"]'));
  }

  function tell() {
    const count = boxes().filter((box) => box.checked).length;
    const button = document.getElementById("batch");
    if (button) button.textContent = count ? "Apply to " + count + " selected" : "Apply to selected";
    const all = document.getElementById("choose-all");
    if (!all) return;
    all.hidden = false;
    all.checked = count > 0 && count === boxes().length;
    all.indeterminate = count > 0 && !all.checked;
  }

  document.addEventListener("change", (event) => {
    if (event.target.id === "choose-all") {
      for (const box of boxes()) box.checked = event.target.checked;
    }
    tell();
  });

  document.addEventListener("htmx:beforeSwap", (event) => {
    const part = event.detail.target;
    if (part.id !== "tasks-now") return;
    if (part.querySelector("details[open]")) {
      event.detail.shouldSwap = false;
      return;
    }
    selected = boxes().filter((box) => box.checked).map((box) => box.id);
  });

  document.addEventListener("htmx:afterSwap", () => {
    for (const id of selected) {
      const box = document.getElementById(id);
      if (box) box.checked = true;
    }
    selected = [];
    tell();
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

  tell();
})();
