// Reading a document from a file, chosen or dropped: its text goes into the YAML, and the form hears `document-read`.
(function () {
  "use strict";

  const MAX_BYTES = 1 << 20;

  const form = document.getElementById("task-form");
  const yaml = document.getElementById("yaml");
  const pane = document.querySelector(".editor-text");
  const chooser = document.getElementById("file");

  function complain(text) {
    const line = document.createElement("li");
    line.textContent = text;
    document.getElementById("yaml-errors").replaceChildren(line);
    pane.open = true;
  }

  async function read(file) {
    if (file.size > MAX_BYTES) return complain(file.name + " is too large: at most 1 MiB is read.");
    try {
      yaml.value = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
    } catch (error) {
      return complain(file.name + " is not UTF-8 text.");
    }
    return form.dispatchEvent(new CustomEvent("document-read"));
  }

  chooser.addEventListener("change", async () => {
    if (chooser.files.length) await read(chooser.files[0]);
    chooser.value = "";
  });
  pane.addEventListener("dragover", (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    pane.classList.add("is-target");
  });
  pane.addEventListener("dragleave", () => pane.classList.remove("is-target"));
  pane.addEventListener("drop", (event) => {
    pane.classList.remove("is-target");
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    read(event.dataTransfer.files[0]);
  });
})();
