// A list of any number of lines, of which only those near the viewport are elements.
//
// Lines are kept in chunks. A chunk far away is an empty box of the height that its lines had, or of the height that
// they probably have. Text becomes text nodes only, never markup.
(function () {
  "use strict";

  const CHUNK_LINES = 100;
  const MOST_LINES = 200000;
  const MARGIN_PX = 800;

  function twoDigits(number) {
    return String(number).padStart(2, "0");
  }

  function clock(at) {
    const time = new Date(at);
    return [time.getHours(), time.getMinutes(), time.getSeconds()].map(twoDigits).join(":");
  }

  function span(name, text) {
    const element = document.createElement("span");
    element.className = name;
    element.textContent = text;
    return element;
  }

  class LogWindow {
    // `box` is the element that scrolls; its content is replaced. A line is an object with id, number, at (milliseconds),
    // level, source, experiment and text. `ofTask` shows which experiment a line is of.
    constructor(box, ofTask) {
      this.box = box;
      this.ofTask = ofTask;
      this.chunks = [];
      this.pattern = null;
      this.current = null;
      this.lineHeight = 19;
      box.replaceChildren();
      this.near = new IntersectionObserver((entries) => this.look(entries), {
        root: box,
        rootMargin: MARGIN_PX + "px 0px",
      });
    }

    get count() {
      return this.chunks.reduce((sum, chunk) => sum + chunk.lines.length, 0);
    }

    get first() {
      return this.chunks.length ? this.chunks[0].lines[0] : null;
    }

    get last() {
      return this.chunks.length ? this.chunks[this.chunks.length - 1].lines.at(-1) : null;
    }

    get isAtEnd() {
      return this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < 2 * this.lineHeight;
    }

    // Changes of content

    clear() {
      this.near.disconnect();
      this.chunks = [];
      this.current = null;
      this.box.replaceChildren();
    }

    append(lines) {
      const chunk = this.chunks.at(-1);
      const room = chunk ? Math.max(0, CHUNK_LINES - chunk.lines.length) : 0;
      if (room) this.extend(chunk, lines.slice(0, room));
      for (let start = room; start < lines.length; start += CHUNK_LINES) {
        const added = this.chunk(lines.slice(start, start + CHUNK_LINES));
        this.chunks.push(added);
        this.box.append(added.element);
        this.near.observe(added.element);
      }
    }

    prepend(lines) {
      const before = this.box.scrollHeight;
      for (let end = lines.length; end > 0; end -= CHUNK_LINES) {
        const added = this.chunk(lines.slice(Math.max(0, end - CHUNK_LINES), end));
        this.chunks.unshift(added);
        this.box.prepend(added.element);
        this.near.observe(added.element);
      }
      this.box.scrollTop += this.box.scrollHeight - before;
    }

    // Forget the oldest lines when there are too many; whether there were.
    trim() {
      let dropped = false;
      while (this.count > MOST_LINES) {
        const chunk = this.chunks.shift();
        const before = this.box.scrollHeight;
        this.near.unobserve(chunk.element);
        chunk.element.remove();
        this.box.scrollTop -= before - this.box.scrollHeight;
        dropped = true;
      }
      return dropped;
    }

    // Elements

    chunk(lines) {
      const element = document.createElement("div");
      const chunk = { lines, element, isFilled: false, hits: [] };
      element.className = "log-chunk";
      element.style.height = lines.length * this.lineHeight + "px";
      this.find(chunk);
      return chunk;
    }

    extend(chunk, lines) {
      chunk.lines.push(...lines);
      this.find(chunk);
      if (chunk.isFilled) chunk.element.append(...lines.map((line) => this.row(line)));
      else chunk.element.style.height = chunk.lines.length * this.lineHeight + "px";
    }

    row(line) {
      const row = document.createElement("div");
      const time = document.createElement("time");
      const at = new Date(line.at);
      row.className = "log-line log-" + line.level;
      row.classList.toggle("is-current", line === this.current);
      row.dataset.id = line.id;
      time.textContent = clock(line.at);
      time.dataset.at = line.at;
      time.title = at.toISOString().replace("T", " ").replace("Z", " UTC");
      row.append(
        span("number", line.number === null ? "" : line.number),
        time,
        span("source", this.ofTask && line.experiment ? line.source + " " + line.experiment : line.source),
        this.text(line.text)
      );
      return row;
    }

    text(text) {
      const element = span("text", "");
      let end = 0;
      for (const hit of this.pattern ? text.matchAll(this.pattern) : []) {
        const mark = document.createElement("mark");
        mark.textContent = hit[0];
        element.append(text.slice(end, hit.index), mark);
        end = hit.index + hit[0].length;
      }
      element.append(text.slice(end));
      return element;
    }

    fill(chunk) {
      if (chunk.isFilled) return;
      const before = chunk.element.offsetHeight;
      const isAbove = chunk.element.offsetTop + before <= this.box.scrollTop;
      const wasAtEnd = this.isAtEnd;
      chunk.isFilled = true;
      chunk.element.replaceChildren(...chunk.lines.map((line) => this.row(line)));
      chunk.element.style.height = "";
      const after = chunk.element.offsetHeight;
      if (after) this.lineHeight = after / chunk.lines.length;
      if (wasAtEnd) this.toEnd();
      else if (isAbove) this.box.scrollTop += after - before;
    }

    empty(chunk) {
      if (!chunk.isFilled) return;
      chunk.element.style.height = chunk.element.offsetHeight + "px";
      chunk.element.replaceChildren();
      chunk.isFilled = false;
    }

    look(entries) {
      for (const entry of entries) {
        const chunk = this.chunks.find((one) => one.element === entry.target);
        if (!chunk) continue;
        if (entry.isIntersecting) this.fill(chunk);
        else if (!this.isSelected(chunk)) this.empty(chunk);
      }
      if (this.onlook) this.onlook();
    }

    isSelected(chunk) {
      const selection = getSelection();
      return !selection.isCollapsed && selection.containsNode(chunk.element, true);
    }

    redraw() {
      for (const chunk of this.chunks) {
        if (!chunk.isFilled) continue;
        chunk.isFilled = false;
        const height = chunk.element.offsetHeight;
        chunk.element.replaceChildren();
        chunk.element.style.height = height + "px";
        this.fill(chunk);
      }
    }

    // After the lines got other heights: guess those that are not elements, and keep the first line in view there.
    remeasure(change) {
      const wasAtEnd = this.isAtEnd;
      const anchor = this.visible()[0];
      change();
      const filled = this.chunks.filter((chunk) => chunk.isFilled);
      const lines = filled.reduce((sum, chunk) => sum + chunk.lines.length, 0);
      const height = filled.reduce((sum, chunk) => sum + chunk.element.offsetHeight, 0);
      if (lines && height) this.lineHeight = height / lines;
      for (const chunk of this.chunks) {
        if (!chunk.isFilled) chunk.element.style.height = chunk.lines.length * this.lineHeight + "px";
      }
      if (wasAtEnd) this.toEnd();
      else if (anchor) this.box.scrollTop = anchor.offsetTop;
    }

    // Places

    toEnd() {
      this.box.scrollTop = this.box.scrollHeight;
    }

    visible() {
      const top = this.box.scrollTop;
      const bottom = top + this.box.clientHeight;
      return [...this.box.querySelectorAll(".log-line")].filter(
        (row) => row.offsetTop + row.offsetHeight > top && row.offsetTop < bottom
      );
    }

    show(line) {
      const chunk = this.chunks.find((one) => one.lines.includes(line));
      this.current = line;
      for (const row of this.box.querySelectorAll(".is-current")) row.classList.remove("is-current");
      this.fill(chunk);
      const row = chunk.element.children[chunk.lines.indexOf(line)];
      row.classList.add("is-current");
      this.box.scrollTop = row.offsetTop - this.box.clientHeight / 2;
      const mark = row.querySelector("mark");
      if (mark) mark.scrollIntoView({ block: "nearest", inline: "nearest" });
    }

    // Lines with a text

    search(text) {
      this.pattern = text ? new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "gi") : null;
      this.current = null;
      for (const chunk of this.chunks) this.find(chunk);
      this.redraw();
    }

    find(chunk) {
      chunk.hits = this.pattern ? chunk.lines.filter((line) => line.text.search(this.pattern) >= 0) : [];
    }

    get hits() {
      return this.chunks.flatMap((chunk) => chunk.hits);
    }
  }

  window.autotuner.LogWindow = LogWindow;
})();
