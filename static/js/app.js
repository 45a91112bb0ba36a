// What every page does: menu, theme, toasts, live updates, the banner while the server is away, local times.
(function () {
  "use strict";

  const TOAST_MS = 4000;
  const SERVER_TOAST_MS = 5000;
  const RETRY_MS = 3000;

  const toasts = document.getElementById("toasts");
  const offline = document.getElementById("offline");

  function store(name, value) {
    try {
      localStorage.setItem(name, value);
    } catch (error) {
      // Storage is switched off: the choice holds for this page.
    }
  }

  function stored(name) {
    try {
      return localStorage.getItem(name);
    } catch (error) {
      return null;
    }
  }

  // Toasts

  function show(toast, after) {
    toasts.append(toast);
    setTimeout(() => toast.remove(), after);
  }

  function say(text, kind) {
    const toast = document.createElement("div");
    toast.className = "toast toast-" + kind;
    toast.textContent = text;
    show(toast, kind === "error" ? SERVER_TOAST_MS : TOAST_MS);
  }

  // A screen reader says what is added after the page was read, not what came with it
  const told = [...toasts.children];
  toasts.replaceChildren();
  setTimeout(() => told.forEach((toast) => show(toast, SERVER_TOAST_MS)), 100);

  // Menu on narrow screens

  const menu = document.getElementById("menu");
  const menuButton = document.querySelector(".menu-button");
  const behind = document.querySelectorAll(".topbar, main");

  function openMenu(open) {
    menu.classList.toggle("is-open", open);
    menuButton.setAttribute("aria-expanded", String(open));
    for (const part of behind) part.inert = open;
    (open ? menu.querySelector("a") : menuButton).focus();
  }

  menuButton.addEventListener("click", (event) => {
    event.preventDefault();
    openMenu(!menu.classList.contains("is-open"));
  });
  menuButton.addEventListener("keydown", (event) => {
    if (event.key !== " ") return;
    event.preventDefault();
    menuButton.click();
  });
  matchMedia("(min-width: 1024px)").addEventListener("change", () => {
    if (menu.classList.contains("is-open")) openMenu(false);
  });
  document.querySelector(".backdrop").addEventListener("click", (event) => {
    event.preventDefault();
    openMenu(false);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.classList.contains("is-open")) openMenu(false);
  });

  // "/" leads to the search, unless something is being typed

  document.addEventListener("keydown", (event) => {
    const search = document.querySelector("[data-search]");
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || !search) return;
    if (event.defaultPrevented || event.target.closest("input, textarea, select, [contenteditable], dialog")) return;
    event.preventDefault();
    search.focus();
    search.select();
  });

  // Light and dark

  document.querySelector("[data-theme-switch]").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    store("theme", root.dataset.theme);
    document.dispatchEvent(new CustomEvent("theme"));
  });

  // Live updates: a poll that is cancelled here is tried again at its next interval

  const liveSwitch = document.querySelector("[data-live-switch]");
  let isLive = stored("live") !== "off";

  function showLive() {
    liveSwitch.setAttribute("aria-pressed", String(isLive));
    liveSwitch.title = isLive ? "Pause live updates" : "Go on with live updates";
    const dot = liveSwitch.querySelector(".live");
    dot.classList.toggle("is-live", isLive);
    dot.textContent = isLive ? "Live" : "Paused";
  }

  liveSwitch.addEventListener("click", () => {
    isLive = !isLive;
    store("live", isLive ? "on" : "off");
    showLive();
    document.dispatchEvent(new CustomEvent("live", { detail: isLive }));
  });
  showLive();

  document.addEventListener("htmx:beforeRequest", (event) => {
    const trigger = event.detail.elt.getAttribute("hx-trigger") || "";
    if (trigger.includes("every") && (!isLive || document.hidden)) event.preventDefault();
  });

  // Errors and a lost connection

  let again = 0;

  function lost(isLost) {
    if (isLost === Boolean(again)) return;
    offline.textContent = isLost ? offline.dataset.text : "";
    clearInterval(again);
    // Paused updates ask nothing, and the server may be back all the same.
    again = isLost ? setInterval(askAgain, RETRY_MS) : 0;
  }

  function askAgain() {
    fetch(location.href, { cache: "no-store" }).then(() => lost(false)).catch(() => {});
  }

  document.addEventListener("htmx:sendError", () => lost(true));
  document.addEventListener("htmx:timeout", () => lost(true));
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.xhr && event.detail.xhr.status) lost(false);
  });
  document.addEventListener("htmx:responseError", (event) => {
    const answer = event.detail.xhr;
    const reason = answer.getResponseHeader("X-Reason") || "The server answered " + answer.status + ".";
    say(reason, answer.status >= 500 ? "error" : "warning");
  });

  // Times in the viewer's zone; the server writes them in UTC

  const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

  const hours = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

  function localise(root) {
    for (const label of root.querySelectorAll("[data-clock]")) {
      label.textContent = hours.format(new Date(label.dataset.clock));
      label.removeAttribute("data-clock");
    }
    for (const time of root.querySelectorAll("time[datetime]:not([data-local])")) {
      time.dataset.local = "";
      time.title = time.dateTime.replace("T", " ").replace(/\.\d+/, "").replace(/(\+00:00|Z)$/, " UTC");
      if (!time.hasAttribute("data-keep")) time.textContent = clock.format(new Date(time.dateTime));
    }
  }

  localise(document);
  document.addEventListener("htmx:afterSwap", (event) => localise(event.detail.elt.parentElement || document));

  // Copy buttons: data-copy is the id of the element whose text is copied

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
      say("Copied.", "success");
    } catch (error) {
      say("The browser does not allow copying; select the text instead.", "warning");
    }
  });

  // A link with data-dialog leads to a page that asks; here it is asked on top of this page

  const dialog = document.getElementById("dialog");

  async function ask(link) {
    const answer = await fetch(link.href, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const question = page.querySelector("[data-question]");
    if (!answer.ok || !question) throw new Error(String(answer.status));
    dialog.replaceChildren(document.adoptNode(question));
    dialog.showModal();
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-dialog]");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      ask(link).catch(() => (location.href = link.href));
    }
    if (event.target === dialog || event.target.closest("#dialog [data-close]")) {
      event.preventDefault();
      dialog.close();
    }
  });

  window.autotuner = { say, lost, localise, isLive: () => isLive && !document.hidden };
})();
