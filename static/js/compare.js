// The choice of experiments to compare: as many as fit, and a button that waits for two.
(function () {
  "use strict";
  const form = document.getElementById("compare");
  if (!form) return;
  const button = form.querySelector("button");
  const most = Number(form.dataset.most);

  function boxes() {
    return [...document.querySelectorAll('input[form="compare"]')];
  }

  function count() {
    const chosen = boxes().filter((box) => box.checked).length;
    for (const box of boxes()) box.disabled = !box.checked && chosen >= most;
    button.disabled = chosen < 2;
    button.textContent = chosen ? "Compare " + chosen : "Compare";
  }

  document.addEventListener("change", (event) => {
    if (event.target.matches('input[form="compare"]')) count();
  });
  document.addEventListener("htmx:afterSwap", count);
  window.addEventListener("pageshow", count);
  count();
})();
