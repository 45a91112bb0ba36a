// The form of a task and its document as YAML: either side follows the other while one types, and both are checked.
(function () {
  "use strict";

  const PAUSE_MS = 400;
  const MAX_BYTES = 1 << 20;

  const form = document.getElementById("task-form");
  const yaml = document.getElementById("yaml");
  const base = document.getElementById("base");
  const rows = document.getElementById("rows");
  const state = document.getElementById("state");
  const problems = document.getElementById("problems");
  const key = form.dataset.draft;
  const touched = new Set();
  let latest = null; // what was typed in last
  let toldAll = "told" in form.dataset;
  let nextRow = 0;

  // What a section shows: fields of the chosen deployment, and of the kind of each row

  function field(name) {
    return form.elements.namedItem(name);
  }

  function showModes() {
    const mode = field("deployment.mode").value;
    for (const part of form.querySelectorAll("[data-modes]")) {
      const control = field(part.dataset.field);
      const isDeployment = part.dataset.field.startsWith("deployment.");
      const isEmpty = control.type === "checkbox" ? !control.checked : !control.value;
      const fits = part.dataset.modes.split(" ").includes(mode);
      part.hidden = !fits && (isDeployment || isEmpty);
    }
  }

  function showKind(row) {
    const kind = row.querySelector("select").value;
    row.dataset.kind = kind;
    for (const part of row.querySelectorAll("[data-kinds]")) {
      part.hidden = !part.dataset.kinds.split(" ").includes(kind);
    }
    row.querySelector(".parameter-values label").textContent = kind === "fixed" ? "Value" : "Values";
  }

  function showHint(row) {
    const name = row.querySelector(".parameter-name input").value;
    const known = document.getElementById("flags-" + field("engine.name").value);
    const option = known && [...known.options].find((each) => each.value === name);
    row.querySelector(".parameter-hint").textContent = option ? option.textContent : "";
  }

  function showSuggestions() {
    const known = document.getElementById("flags-" + field("engine.name").value);
    for (const input of rows.querySelectorAll(".parameter-name input")) {
      if (known) input.setAttribute("list", known.id);
    }
  }

  function showModel() {
    const id = field("model.id").value.trim();
    const last = id.replace(/\/+$/, "").split("/").pop();
    field("model.served_name").placeholder = last || "the last part of the model";
    field("model.tokenizer").placeholder = id || "the model's own";
  }

  function showAll() {
    showModes();
    showModel();
    showSuggestions();
    for (const row of rows.querySelectorAll("[data-row]")) {
      showKind(row);
      showHint(row);
      nextRow = Math.max(nextRow, Number(row.dataset.row) + 1);
    }
  }

  // Rows

  function addRow() {
    const template = document.getElementById("empty-row").content.firstElementChild;
    const holder = document.createElement("div");
    holder.append(template.cloneNode(true));
    for (const element of holder.querySelectorAll("*")) {
      for (const name of ["id", "name", "for", "value", "data-row", "aria-describedby"]) {
        const now = element.getAttribute(name);
        if (now && now.includes("__n__")) element.setAttribute(name, now.replaceAll("__n__", String(nextRow)));
      }
    }
    nextRow += 1;
    const row = holder.firstElementChild;
    rows.append(row);
    const none = rows.querySelector("[data-no-rows]");
    if (none) none.remove();
    showSuggestions();
    showKind(row);
    return row;
  }

  function removeRow(row) {
    const beside = row.nextElementSibling || row.previousElementSibling;
    row.remove();
    const target = beside && beside.querySelector("input");
    (target || document.getElementById("add-row")).focus();
  }

  form.addEventListener("click", (event) => {
    const button = event.target.closest("button[name=do]");
    if (!button) return;
    if (button.value === "add-row") {
      event.preventDefault();
      addRow().querySelector("input").focus();
      edited("form");
    } else if (button.value.startsWith("remove-")) {
      event.preventDefault();
      removeRow(button.closest("[data-row]"));
      edited("form");
    }
  });

  // Drafts: what was typed is kept until the task is saved

  function values() {
    const entries = [...new FormData(form).entries()];
    return entries.filter(([name, value]) => typeof value === "string" && name !== "csrfmiddlewaretoken");
  }

  function keep() {
    window.autotuner.drafts.keep(key, values());
  }

  function fill(entries) {
    const given = new Map(entries);
    for (const row of rows.querySelectorAll("[data-row]")) row.remove();
    nextRow = 0;
    for (const [name] of entries) {
      const found = /^rows-(\d+)-name$/.exec(name);
      if (!found) continue;
      nextRow = Number(found[1]);
      addRow();
    }
    for (const control of form.elements) {
      if (!control.name || ["csrfmiddlewaretoken", "do", "file"].includes(control.name)) continue;
      if (control.type === "checkbox") control.checked = given.has(control.name);
      else if (given.has(control.name)) put(control, given.get(control.name));
    }
    showAll();
  }

  function put(control, value) {
    if (control.tagName === "SELECT" && ![...control.options].some((option) => option.value === value)) {
      control.add(new Option(value, value));
    }
    control.value = value;
  }

  function restore() {
    const draft = window.autotuner.drafts.kept(key);
    if (!draft || "sent" in form.dataset) return;
    const fresh = JSON.stringify(values());
    if (JSON.stringify(draft) === fresh) return;
    fill(draft);
    document.getElementById("draft").hidden = false;
    check();
  }

  document.getElementById("draft-discard").addEventListener("click", () => {
    window.autotuner.drafts.forget(key);
    location.reload();
  });

  // Checking: one request at a time, the latest wins

  let timer = null;
  let running = null;
  let side = "form";
  let isFormOpen = false; // the form was edited, and the YAML does not say so yet
  let edits = 0;

  function edited(which) {
    side = which;
    edits += 1;
    if (which === "form") isFormOpen = true;
    keep();
    clearTimeout(timer);
    timer = setTimeout(check, PAUSE_MS);
  }

  async function check() {
    clearTimeout(timer);
    if (running) running.abort();
    if (new Blob([yaml.value]).size > MAX_BYTES) {
      list(document.getElementById("yaml-errors"), ["The document is too large: at most 1 MiB is read."]);
      return;
    }
    const mine = (running = new AbortController());
    const [asked, at] = [side, edits];
    const data = new FormData(form);
    data.delete("file");
    state.textContent = "Checking …";
    try {
      const answer = await fetch(form.dataset.check, { method: "POST", body: data, signal: mine.signal });
      const text = answer.ok && !answer.redirected ? await answer.json() : null;
      if (edits !== at) return;
      state.textContent = text ? "" : "The server refused to check this.";
      window.autotuner.lost(false);
      if (text) show(text, asked, data);
    } catch (error) {
      if (error.name === "AbortError") return;
      state.textContent = "Not checked: the server does not answer.";
      window.autotuner.lost(true);
    }
  }

  function show(answer, asked, sent) {
    if (answer.readable && asked === "form") {
      if (yaml.value !== answer.yaml) write(answer.yaml);
      base.value = answer.base;
      if (answer.fields && sent.get("yaml") !== sent.get("base")) showFields(answer);
      isFormOpen = false;
    } else if (answer.readable && !isFormOpen) {
      if (answer.fields) showFields(answer);
      base.value = yaml.value;
    }
    showErrors(answer);
    const notes = document.getElementById("notes");
    list(notes, answer.notes, "p", "alert");
    notes.hidden = answer.notes.length === 0;
    const cost = document.getElementById("cost");
    if (cost.innerHTML !== answer.cost) cost.innerHTML = answer.cost;
    keep();
  }

  function write(text) {
    const at = yaml.scrollTop;
    yaml.value = text;
    yaml.scrollTop = at;
  }

  // Nothing was edited since what is shown here was asked for. Of the field in which one types, which may be written
  // another way than the server would, the text stays; one that only has the focus must not keep what it had before.

  function isTyped(control) {
    return control === document.activeElement && control === latest;
  }

  function showFields(answer) {
    for (const [name, text] of Object.entries(answer.fields)) {
      const control = field(name);
      if (!control || isTyped(control)) continue;
      if (control.type === "checkbox") control.checked = text === "on";
      else if (control.value !== text) put(control, text);
    }
    showRows(answer.rows);
    showAll();
  }

  function showRows(html) {
    const before = rows.contains(document.activeElement) ? document.activeElement : null;
    const typed = before && isTyped(before);
    rows.innerHTML = html;
    if (!before) return;
    const control = document.getElementById(before.id) || document.getElementById("add-row");
    if (typed && control.name === before.name && control.type === "text") {
      control.value = before.value;
      latest = control;
    }
    control.focus();
    if (control.type === "text") control.setSelectionRange(before.selectionStart, before.selectionEnd);
  }

  // Errors: at fields that were touched, or at all of them once somebody asked for the task

  function list(holder, lines, tag = "li", style = "") {
    const same = [...holder.children].map((each) => each.textContent).join("\n") === lines.join("\n");
    if (same) return;
    holder.replaceChildren(
      ...lines.map((line) => {
        const item = document.createElement(tag);
        item.className = style;
        item.textContent = line;
        return item;
      }),
    );
  }

  function isTold(control) {
    if (toldAll || touched.has(control.name)) return true;
    return control.type === "checkbox" || control.value !== "";
  }

  function mark(control, holder, lines) {
    list(holder, lines);
    if (lines.length) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
  }

  function showErrors(answer) {
    const summary = [];
    for (const part of form.querySelectorAll("[data-field]")) {
      const control = field(part.dataset.field);
      const found = answer.errors[part.dataset.field] || [];
      const label = part.querySelector("label").textContent.trim();
      for (const line of found) summary.push([control.id, label + ": " + line]);
      mark(control, document.getElementById(control.id + "_error"), isTold(control) ? found : []);
      control.setAttribute("aria-describedby", control.id + "_helptext " + control.id + "_error");
    }
    for (const row of rows.querySelectorAll("[data-row]")) {
      const found = answer.row_errors[row.dataset.row] || [];
      const name = row.querySelector(".parameter-name input");
      for (const line of found) summary.push([name.id, (name.value || "a parameter") + ": " + line]);
      mark(name, row.querySelector(".parameter-errors"), row.contains(document.activeElement) && !name.value ? [] : found);
    }
    for (const line of answer.yaml_errors.concat(answer.other_errors)) summary.push(["yaml", line]);
    mark(yaml, document.getElementById("yaml-errors"), answer.yaml_errors.concat(answer.other_errors));
    showSummary(summary);
  }

  function showSummary(summary) {
    const count = summary.length;
    state.textContent = count === 0 ? "Ready" : count === 1 ? "1 thing to put right" : count + " things to put right";
    if (!toldAll) return;
    problems.hidden = count === 0;
    document.getElementById("problems-list").replaceChildren(
      ...summary.map(([id, text]) => {
        const item = document.createElement("li");
        const link = document.createElement("a");
        link.href = "#" + id;
        link.textContent = text;
        item.append(link);
        return item;
      }),
    );
  }

  problems.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    const target = link && document.getElementById(decodeURIComponent(link.hash.slice(1)));
    if (!target) return;
    event.preventDefault();
    for (let part = target.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
    target.focus();
  });

  // What somebody does

  form.addEventListener("input", (event) => {
    const control = event.target;
    if (control === yaml) {
      latest = yaml;
      return edited("yaml");
    }
    if (!control.name || control.name === "file") return undefined;
    touched.add(control.name);
    latest = control;
    const row = control.closest("[data-row]");
    if (row && control.name.endsWith("-kind")) showKind(row);
    if (row && control.name.endsWith("-name")) showHint(row);
    if (control.name === "deployment.mode") showModes();
    if (control.name === "engine.name") showAll();
    if (control.name === "model.id") showModel();
    return edited("form");
  });

  yaml.addEventListener("blur", () => {
    if (isFormOpen && side === "yaml") edited("form");
  });

  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.target.tagName !== "INPUT") return;
    // Enter in a field must not press the first button of the form.
    event.preventDefault();
    check();
  });

  form.addEventListener("submit", keep);

  form.addEventListener("document-read", () => {
    toldAll = true;
    isFormOpen = false;
    edited("yaml");
    check();
  });

  for (const button of form.querySelectorAll("button[value=fill], button[value=create-yaml]")) button.hidden = true;
  if (matchMedia("(max-width: 1100px)").matches && !yaml.hasAttribute("aria-invalid")) document.querySelector(".editor-text").open = false;
  showAll();
  restore();
  if (toldAll && !problems.hidden) problems.focus();
})();
