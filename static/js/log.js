// The log of a task or of an experiment: new lines come by themselves, older ones on scrolling up. What the server
// rendered is taken over at the start. Between the first and the last line no wanted one is missing, ever: the places
// `first` and `last` are those up to which the server has looked, and every request begins at one of them. Who follows
// a log that grows by more than an answer holds sees its end only, and the lines before it on scrolling up.
(function () {
  "use strict";

  const app = window.autotuner;
  const POLL_MS = 1000;
  const MOST_PAUSE_MS = 10000;
  const ANSWER_MS = 20000;
  const TYPING_MS = 150;
  const EDGE_PX = 1000;

  class Refused extends Error {}

  function place(id, number) {
    return { id: Number(id), number: number === "" || number === null ? null : Number(number) };
  }

  function lineOf([id, number, at, level, source, experiment, text]) {
    return { id, number, at, level, source, experiment, text };
  }

  function lineIn(row) {
    const [number, time, source, text] = row.children;
    return {
      id: Number(row.dataset.id),
      number: number.textContent ? Number(number.textContent) : null,
      at: Number(time.dataset.at),
      level: row.className.match(/log-(?!line)(\w+)/)[1],
      source: source.textContent.split(" ")[0],
      experiment: Number(source.textContent.split(" ")[1]) || null,
      text: text.textContent,
    };
  }

  function asText(line) {
    const saidBy = line.experiment ? line.source + " " + line.experiment : line.source;
    return [new Date(line.at).toISOString(), line.level.padEnd(7), saidBy.padEnd(13), line.text].join(" ");
  }

  class LogView {
    constructor(root) {
      const { url, first, firstNumber, last, lastNumber, older, newer, growing, ownPage } = root.dataset;
      this.root = root;
      this.form = root.querySelector("form");
      this.box = root.querySelector("[data-log-lines]");
      this.only = root.querySelector("[data-log-only]");
      this.url = url;
      this.first = place(first, firstNumber);
      this.last = place(last, lastNumber);
      this.older = older !== undefined;
      this.newer = newer !== undefined;
      this.growing = growing !== undefined;
      this.isOwnPage = ownPage !== undefined;
      this.isFollowing = !this.newer;
      this.isPaused = this.isCleared = this.isStopped = false;
      this.failures = 0;
      this.busy = {};
      this.asked = new AbortController();
      const lines = [...this.box.querySelectorAll(".log-line")].map(lineIn);
      this.lines = new app.LogWindow(this.box, this.box.classList.contains("log-of-task"));
      this.lines.onlook = () => this.wantMore();
      this.listen();
      this.lines.append(lines);
      this.only.checked = this.query !== "";
      this.lines.search(this.query);
      if (this.isFollowing) this.lines.toEnd();
      this.top = this.box.scrollTop;
      this.show();
      this.schedule(POLL_MS);
    }

    get query() {
      return this.form.elements.q.value;
    }

    get isComplete() {
      return !this.growing && !this.newer;
    }

    get isPolling() {
      return !this.isPaused && !this.isStopped && app.isLive() && (this.newer ? this.isFollowing : this.growing);
    }

    // Requests

    filters() {
      const query = new URLSearchParams();
      for (const name of ["level", "source"]) query.set(name, this.form.elements[name].value);
      if (query.get("level") === "debug") query.delete("level");
      if (!query.get("source")) query.delete("source");
      if (this.only.checked && this.query) query.set("q", this.query);
      return query;
    }

    // The answer from a line on, null when there is nothing new; throws Refused for what will not get better.
    async ask(direction, from) {
      const query = this.filters();
      const asked = this.asked;
      if (direction) query.set(direction, from.id);
      if (direction === "after" && this.isFollowing) query.set("skip", "on");
      if (from && from.number !== null) query.set("number", from.number);
      const timer = setTimeout(() => asked.abort(), ANSWER_MS);
      try {
        const answer = await fetch(this.url + "?" + query, { headers: { "HX-Request": "true" }, signal: asked.signal });
        if (answer.status === 204) return null;
        if (answer.ok) return await answer.json();
        if (answer.status >= 500) throw new Error("The server answered " + answer.status + ".");
        throw new Refused(answer.headers.get("X-Reason") || "The server answered " + answer.status + ".");
      } finally {
        clearTimeout(timer);
      }
    }

    // One request of a kind at a time; its answer is dropped when the view was emptied for another one meanwhile.
    async get(direction, from, use) {
      if (this.busy[direction] || this.isStopped) return;
      const asked = this.asked;
      this.busy[direction] = asked;
      try {
        const answer = await this.ask(direction, from);
        if (asked === this.asked) {
          this.back();
          if (answer) use(answer);
        }
      } catch (error) {
        if (asked === this.asked) this.fail(error, () => this.get(direction, from, use));
      }
      if (this.busy[direction] === asked) this.busy[direction] = null;
    }

    back() {
      if (this.failures) app.lost(false);
      this.failures = 0;
    }

    fail(error, again) {
      if (error instanceof Refused) {
        this.isStopped = true;
        app.say(error.message, "warning");
      } else {
        this.failures += 1;
        this.again = again;
        app.lost(true);
        if (this.asked.signal.aborted) this.asked = new AbortController();
        this.schedule(Math.min(POLL_MS * 2 ** this.failures, MOST_PAUSE_MS));
      }
      this.show();
    }

    schedule(pause) {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.poll(), pause);
    }

    async poll() {
      if (this.failures ? !app.isLive() : !this.isPolling) return;
      await (this.failures ? this.again() : this.getNewer());
      if (this.failures) return;
      this.wantMore();
      if (this.isPolling) this.schedule(this.newer ? 0 : POLL_MS);
    }

    async getNewer() {
      await this.get("after", this.last, (answer) => this.take(answer));
    }

    take(answer) {
      const wasFollowing = this.isFollowing;
      if (answer.skipped) {
        this.lines.clear();
        this.first = place(...answer.first);
        this.older = answer.older;
      }
      this.lines.append(answer.lines.map(lineOf));
      this.last = place(...answer.last);
      this.newer = answer.newer;
      this.growing = answer.growing;
      if (wasFollowing && this.lines.trim()) {
        this.first = place(this.lines.first.id, this.lines.first.number);
        this.older = true;
      }
      if (wasFollowing) this.lines.toEnd();
      this.top = this.box.scrollTop;
      this.show();
    }

    async getOlder() {
      await this.get("before", this.first, (answer) => {
        this.lines.prepend(answer.lines.map(lineOf));
        this.first = place(...answer.first);
        this.older = answer.older;
        this.top = this.box.scrollTop;
        this.show();
      });
      if (!this.failures) this.wantMore();
    }

    // More of the log where the view comes to an end.
    wantMore() {
      if (this.failures || this.isStopped) return;
      const { scrollTop, scrollHeight, clientHeight } = this.box;
      if (this.older && !this.isCleared && !this.busy.before && scrollTop < EDGE_PX) this.getOlder();
      if (this.newer && !this.isFollowing && !this.busy.after && scrollHeight - scrollTop - clientHeight < EDGE_PX) {
        this.getNewer().then(() => this.wantMore());
      }
    }

    // Show another part, or other lines, of the log: its end, or with `oldest` its beginning.
    async restart(oldest = false) {
      this.asked.abort();
      this.asked = new AbortController();
      this.busy = {};
      this.lines.clear();
      this.isFollowing = !oldest;
      this.isCleared = this.isStopped = false;
      this.first = this.last = place(0, 0);
      this.older = this.newer = false;
      await this.get(oldest ? "after" : "", oldest ? this.first : null, (answer) => {
        this.first = place(...answer.first);
        this.older = answer.older && !oldest;
        this.take(answer);
        if (oldest) this.box.scrollTop = 0;
      });
      if (this.failures) return;
      this.wantMore();
      this.schedule(POLL_MS);
    }

    // What is seen

    show() {
      const state = this.root.querySelector("[data-log-state]");
      const isRunning = this.growing && !this.isPaused && !this.isStopped && app.isLive();
      state.classList.toggle("is-live", isRunning && !this.failures);
      state.textContent = this.isStopped ? "Stopped" : !this.growing ? "Complete" : isRunning ? "Live" : "Paused";
      this.root.querySelector("[data-log-note]").textContent = this.note();
      this.button("follow").setAttribute("aria-pressed", String(this.isFollowing && !this.isComplete));
      this.button("pause").setAttribute("aria-pressed", String(this.isPaused));
      this.button("follow").disabled = this.button("pause").disabled = this.isComplete;
      this.showHits();
    }

    note() {
      const count = this.lines.count;
      const hasMore = this.older && !this.isCleared;
      if (this.isCleared && !count) return "This view was emptied; End brings the log back.";
      if (!count && this.older) return "Looking through older lines …";
      if (!count) return this.growing ? "Nothing to show yet." : "There is no such line.";
      return count.toLocaleString() + (count === 1 ? " line" : " lines") + (hasMore ? ", older ones on scrolling up" : "");
    }

    showHits() {
      const hits = this.query ? this.lines.hits : [];
      const current = hits.indexOf(this.lines.current) + 1;
      const words = current ? current + " of " + hits.length : hits.length + (hits.length === 1 ? " hit" : " hits");
      const status = this.root.querySelector("[data-log-hits]");
      const text = this.query ? words : "";
      if (status.textContent !== text) status.textContent = text;
      this.button("previous").disabled = this.button("next").disabled = !hits.length;
    }

    button(name) {
      return this.root.querySelector('[data-log-do="' + name + '"]');
    }

    // What a person does

    follow(isFollowing = !this.isFollowing) {
      this.isFollowing = isFollowing;
      if (isFollowing && this.newer) return this.restart();
      if (isFollowing) this.lines.toEnd();
      this.top = this.box.scrollTop;
      this.show();
      if (isFollowing) this.schedule(0);
    }

    pause() {
      this.isPaused = !this.isPaused;
      this.show();
      this.schedule(0);
    }

    wrap(isWrapped = !this.root.classList.contains("log-wraps")) {
      this.lines.remeasure(() => this.root.classList.toggle("log-wraps", isWrapped));
      this.button("wrap").setAttribute("aria-pressed", String(isWrapped));
      this.top = this.box.scrollTop;
    }

    async copy() {
      const selection = getSelection();
      const rows = [...this.box.querySelectorAll(".log-line")];
      const selected = selection.isCollapsed ? [] : rows.filter((row) => selection.containsNode(row, true));
      const lines = (selected.length ? selected : this.lines.visible()).map(lineIn);
      try {
        await navigator.clipboard.writeText(lines.map(asText).join("\n"));
        app.say(lines.length === 1 ? "Copied a line." : "Copied " + lines.length + " lines.", "success");
      } catch (error) {
        app.say("The browser does not allow copying; select the text instead.", "warning");
      }
    }

    clear() {
      this.lines.clear();
      this.isCleared = true;
      this.show();
    }

    step(by) {
      const hits = this.lines.hits;
      if (!hits.length) return;
      let at = hits.indexOf(this.lines.current);
      if (at < 0) at = by > 0 ? -1 : hits.length;
      this.isFollowing = false;
      this.lines.show(hits[(at + by + hits.length) % hits.length]);
      this.top = this.box.scrollTop;
      this.show();
    }

    filter() {
      const query = this.filters().toString();
      if (this.isOwnPage) history.replaceState(null, "", query ? "?" + query : location.pathname);
      this.restart();
    }

    search() {
      this.lines.search(this.query);
      if (this.only.checked) this.filter();
      else this.show();
    }

    scrolled() {
      if (this.box.scrollTop < this.top - 1 && !this.lines.isAtEnd) this.isFollowing = false;
      else if (this.lines.isAtEnd && !this.newer && !this.isComplete) this.isFollowing = true;
      this.top = this.box.scrollTop;
      this.button("follow").setAttribute("aria-pressed", String(this.isFollowing && !this.isComplete));
      this.wantMore();
    }

    listen() {
      const acts = {
        follow: () => this.follow(),
        pause: () => this.pause(),
        wrap: () => this.wrap(),
        copy: () => this.copy(),
        clear: () => this.clear(),
        previous: () => this.step(-1),
        next: () => this.step(1),
        oldest: () => this.restart(true),
        newest: () => this.restart(),
      };
      for (const control of this.root.querySelectorAll("[data-log-do], [data-log-script]")) control.hidden = false;
      for (const control of this.root.querySelectorAll("[data-log-plain]")) control.hidden = true;
      this.root.addEventListener("click", (event) => {
        const control = event.target.closest("[data-log-do]");
        if (!control || event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        acts[control.dataset.logDo]();
      });
      this.form.addEventListener("submit", (event) => event.preventDefault());
      this.form.elements.level.addEventListener("change", () => this.filter());
      this.form.elements.source.addEventListener("change", () => this.filter());
      this.only.addEventListener("change", () => this.filter());
      this.form.elements.q.addEventListener("input", () => {
        clearTimeout(this.typing);
        this.typing = setTimeout(() => this.search(), TYPING_MS);
      });
      this.form.elements.q.addEventListener("keydown", (event) => {
        if (event.key === "Enter") this.step(event.shiftKey ? -1 : 1);
        if (event.key === "Escape") this.box.focus();
      });
      this.box.addEventListener("scroll", () => this.scrolled(), { passive: true });
      this.box.addEventListener("keydown", (event) => {
        if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        this.form.elements.q.focus();
        this.form.elements.q.select();
      });
      for (const name of ["live", "visibilitychange"]) {
        document.addEventListener(name, () => {
          this.show();
          this.schedule(0);
        });
      }
      if (matchMedia("(max-width: 640px)").matches) this.wrap(true);
    }
  }

  for (const root of document.querySelectorAll("[data-log]")) new LogView(root);
})();
