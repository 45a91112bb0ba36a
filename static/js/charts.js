// The charts of a task: asks for what is new, keeps it by the numbers of experiments, and draws it.
(function () {
  "use strict";
  const holder = document.querySelector("[data-charts]");
  if (!holder || !window.Chart) return;

  const { palette, looks, make, colourIn, number, quantity, title, better, front } = window.autotunerCharts;
  const POLL_MS = 3000;
  const SECONDS = { key: "seconds", label: "duration", unit: "s", direction: "minimize" };
  const canvases = [...document.querySelectorAll("[data-chart]")];
  const charts = [];

  const known = new Map();
  let head = { metrics: [], parameters: [], limits: {}, load_points: [], objective: null };
  let byNumber = [];

  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  Chart.defaults.font.size = 12;

  // What the viewer chose; it stays in the address, so that a page can be shared

  const pickers = new Map([...document.querySelectorAll("[data-pick]")].map((input) => [input.dataset.pick, input]));

  function picked(name, otherwise) {
    const input = pickers.get(name);
    if (!input) return otherwise;
    return input.type === "checkbox" ? input.checked : input.value;
  }

  function startPickers() {
    const asked = new URLSearchParams(location.search);
    for (const [name, input] of pickers) {
      const value = asked.get(name);
      if (input.type === "checkbox") input.checked = value === "on";
      else if (value && [...input.options].some((option) => option.value === value)) input.value = value;
      input.addEventListener("change", () => {
        const address = new URL(location.href);
        address.searchParams.set(name, input.type === "checkbox" ? (input.checked ? "on" : "off") : input.value);
        history.replaceState(null, "", address);
        draw();
      });
    }
    for (const tools of document.querySelectorAll("[data-chart-tools]")) tools.hidden = false;
  }

  // Values

  function metric(key) {
    if (key === "objective") return { key, ...head.objective };
    return key === "seconds" ? SECONDS : head.metrics.find((one) => one.key === key);
  }

  function ofPoint(point, key) {
    return point[2 + head.metrics.findIndex((one) => one.key === key)];
  }

  function ofExperiment(experiment, key) {
    if (key === "objective") return experiment.value;
    if (key === "seconds") return experiment.outcome === "failed" ? null : experiment.seconds;
    const point = experiment.points.find((one) => one[0] === experiment.decided);
    return point ? ofPoint(point, key) : null;
  }

  function real(value) {
    return typeof value === "number" && Number.isFinite(value);
  }

  // The mean of each configuration that met the SLO every time, by the number of its first experiment
  function worth(key) {
    const groups = new Map();
    for (const one of byNumber) {
      if (!groups.has(one.configuration)) groups.set(one.configuration, []);
      groups.get(one.configuration).push(one);
    }
    const found = new Map();
    for (const [name, rows] of groups) {
      const values = rows.map((row) => ofExperiment(row, key));
      if (rows.every((row) => row.outcome === "feasible") && values.every(real)) {
        found.set(name, values.reduce((sum, value) => sum + value, 0) / values.length);
      }
    }
    return found;
  }

  function runningBest(key) {
    const direction = metric(key).direction;
    const of = worth(key);
    const line = [];
    let best = null;
    for (const one of byNumber) {
      const value = of.get(one.configuration);
      if (value !== undefined && (best === null || better(direction, value, best))) best = value;
      if (best !== null) line.push({ x: one.number, y: best });
    }
    return line;
  }

  // Datasets: one for each kind of point

  const KINDS = [
    ["best", "best"],
    ["baseline", "baseline"],
    ["feasible", "within the SLO"],
    ["infeasible", "misses the SLO"],
  ];

  function datasets(points, look) {
    const isBest = (point) => head.best && point.experiment.number === head.best.number;
    const belongs = {
      best: isBest,
      baseline: (point) => point.experiment.baseline,
      feasible: (point) => point.meets,
      infeasible: (point) => !point.meets,
    };
    const made = KINDS.map(([kind, label]) => ({ label, data: points.filter(belongs[kind]), ...look[kind] }));
    // A ring around a point must not take the hover from the point.
    return made.map((one, index) => ({ ...one, hoverRadius: one.radius + 2, order: index + 1 }));
  }

  function failures(look, place) {
    const data = byNumber.filter((one) => one.outcome === "failed").map((one) => ({ ...place(one), y: 0, experiment: one }));
    return { label: "failed", data: data.filter((point) => point.x !== null), yAxisID: "rail", order: 3, ...look.failed, hoverRadius: 7 };
  }

  function measured(place, key) {
    const points = byNumber.map((one) => ({ ...place(one), y: ofExperiment(one, key), experiment: one, meets: one.outcome === "feasible" }));
    return points.filter((point) => point.x !== null && real(point.y));
  }

  function baselineMark(key) {
    if (!head.baseline) return [];
    const rows = byNumber.filter((one) => one.baseline).map((one) => ofExperiment(one, key));
    const values = rows.filter(real);
    if (!values.length) return [];
    return [{ axis: "y", at: values.reduce((sum, value) => sum + value, 0) / values.length, text: "baseline" }];
  }

  // What a hover says

  function lines(point, extra) {
    const one = point.experiment;
    const parameters = head.parameters.map((axis, index) => axis.name + " = " + (one.at[index] ?? "default"));
    const outcome = one.outcome === "feasible" ? "within the SLO" : one.outcome === "infeasible" ? "misses the SLO" : "failed";
    const words = [outcome, one.baseline ? "baseline" : "", one.replicate ? "measured again" : ""].filter(Boolean).join(", ");
    return [words, ...extra, ...parameters];
  }

  function tooltip(say) {
    return {
      filter: (item, index) => index === 0 && Boolean(item.raw.experiment),
      callbacks: {
        title: (items) => (items.length ? "Experiment " + items[0].raw.experiment.number : ""),
        label: (item) => lines(item.raw, say(item.raw)),
      },
    };
  }

  function open(number) {
    location.href = holder.dataset.experiment.replace(/1$/, String(number));
  }

  function legend() {
    return { position: "bottom", onClick: () => {}, labels: { usePointStyle: true, boxHeight: 7, filter: hasData } };
  }

  function hasData(item, data) {
    const dataset = data.datasets[item.datasetIndex];
    return dataset.data.length > (dataset.type === "line" ? 1 : 0);
  }

  // Failed experiments have no value: they stand on the foot of the chart, whatever the other axis shows.
  const RAIL = { axis: "y", type: "linear", display: false, min: 0, max: 1 };

  // History: a metric by experiment

  function startHistory(canvas) {
    const scales = {
      x: { type: "linear", title: { display: true, text: "experiment" }, ticks: { precision: 0 }, grid: { display: false } },
      y: { type: "linear", title: { display: true } },
      rail: { ...RAIL },
    };
    const say = (point) => [metric(chosen()).label + ": " + quantity(point.experiment.outcome === "failed" ? null : point.y, metric(chosen()).unit)];
    const chart = make(canvas, { scales, plugins: { legend: legend(), tooltip: tooltip(say) } }, open);
    const chosen = () => picked("y", "objective");
    return () => {
      const look = looks(colours);
      const place = (one) => ({ x: one.number });
      const best = { type: "line", label: "best so far", data: runningBest(chosen()), stepped: true, order: 9, hitRadius: 0, ...look.line };
      chart.data.datasets = [...datasets(measured(place, chosen()), look), failures(look, place), best];
      chart.config.options.scales.y.type = picked("log", false) ? "logarithmic" : "linear";
      chart.config.options.scales.y.title.text = title(metric(chosen()));
      chart.config.options.scales.x.min = 0;
      chart.config.options.scales.x.max = Math.max(2, ...byNumber.map((one) => one.number));
      chart.$marks.lines = baselineMark(chosen());
      return chart;
    };
  }

  // Scatter: two metrics of all load points

  function limitMarks(x, y) {
    const made = [];
    for (const [key, limit] of Object.entries(head.limits)) {
      const axis = key === x.key ? "x" : key === y.key ? "y" : null;
      const of = axis === "x" ? x : y;
      if (axis) made.push({ axis, at: limit, text: "SLO " + quantity(limit, of.unit) });
    }
    return made;
  }

  // The axis reaches to a limit that is near; one that is far would squeeze the points together.
  function reach(points, axis, made) {
    const most = Math.max(...points.map((point) => point[axis]));
    const near = made.filter((mark) => mark.axis === axis && mark.at < 2 * most).map((mark) => 1.04 * mark.at);
    return near.length ? Math.max(...near) : undefined;
  }

  function startScatter(canvas) {
    const axes = () => [metric(picked("scatter-x")), metric(picked("scatter-y"))];
    const scales = {
      x: { type: "linear", title: { display: true }, beginAtZero: true },
      y: { type: "linear", title: { display: true }, beginAtZero: true },
    };
    const say = (point) => {
      const [x, y] = axes();
      return [head.load_points[point.index], y.label + ": " + quantity(point.y, y.unit), x.label + ": " + quantity(point.x, x.unit)];
    };
    const chart = make(canvas, { scales, plugins: { legend: legend(), tooltip: tooltip(say) } }, open);
    return () => {
      const [x, y] = axes();
      const points = byNumber.flatMap((experiment) =>
        experiment.points.map((point) => ({
          x: ofPoint(point, x.key), y: ofPoint(point, y.key), index: point[0], meets: point[1] === 1, experiment,
        })),
      ).filter((point) => real(point.x) && real(point.y));
      const look = looks(colours);
      const within = points.filter((point) => point.meets);
      const line = front(within.length ? within : points, x.direction, y.direction).map((point) => ({ x: point.x, y: point.y }));
      const made = limitMarks(x, y);
      chart.data.datasets = [...datasets(points, look), { type: "line", label: "Pareto front", data: line, order: 9, hitRadius: 0, ...look.line }];
      chart.config.options.scales.x.title.text = title(x);
      chart.config.options.scales.y.title.text = title(y);
      chart.config.options.scales.x.suggestedMax = reach(points, "x", made);
      chart.config.options.scales.y.suggestedMax = reach(points, "y", made);
      chart.$marks.lines = made;
      return chart;
    };
  }

  // Slice: a metric by one parameter

  function numberTicks(scale, axis) {
    scale.type = axis.kind === "log" ? "logarithmic" : "linear";
    [scale.min, scale.max] = axis.ends;
    scale.ticks = { maxTicksLimit: 6, maxRotation: 0, callback: (value) => number(value) };
  }

  function nameTicks(scale, names) {
    scale.min = -0.5;
    scale.max = names.length - 0.5;
    scale.grid = { display: false };
    scale.afterBuildTicks = (built) => (built.ticks = names.map((_, value) => ({ value })));
    scale.ticks = { autoSkip: false, callback: (value) => names[value] };
  }

  function startSlice(canvas) {
    const scales = { x: { type: "linear" }, y: { type: "linear", ticks: { maxTicksLimit: 5 } }, rail: { ...RAIL } };
    const chosen = () => picked("y", "objective");
    const say = (point) => [metric(chosen()).label + ": " + quantity(point.experiment.outcome === "failed" ? null : point.y, metric(chosen()).unit)];
    const chart = make(canvas, { scales, plugins: { legend: { display: false }, tooltip: tooltip(say) } }, open);
    return () => {
      const index = head.parameters.findIndex((axis) => axis.name === canvas.dataset.parameter);
      if (index < 0) return chart;
      const axis = head.parameters[index];
      const isNamed = axis.kind === "category";
      const place = (one) => ({ x: isNamed ? axis.values.indexOf(one.at[index]) : one.at[index] });
      const look = looks(colours);
      chart.data.datasets = [...datasets(measured(place, chosen()), look), failures(look, place)];
      chart.config.options.scales.y.type = picked("log", false) ? "logarithmic" : "linear";
      if (isNamed) nameTicks(chart.config.options.scales.x, axis.values);
      else numberTicks(chart.config.options.scales.x, axis);
      chart.$marks.lines = baselineMark(chosen());
      const [mark] = chart.$marks.lines;
      chart.config.options.scales.y.suggestedMin = chart.config.options.scales.y.suggestedMax = mark && mark.at;
      return chart;
    };
  }

  const STARTS = { history: startHistory, scatter: startScatter, slice: startSlice };

  // Drawing

  let colours = palette();

  function draw() {
    if (!head.objective) return;
    for (const prepare of charts) {
      const chart = prepare();
      colourIn(chart, colours);
      chart.update("none");
    }
  }

  function recolour() {
    colours = palette();
    draw();
  }

  document.addEventListener("theme", recolour);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);

  function tell() {
    for (const element of document.querySelectorAll("[data-finding]")) {
      const words = head.findings[element.dataset.finding];
      if (words && words !== element.textContent) element.textContent = words;
    }
    for (const canvas of canvases) {
      const name = canvas.dataset.chart === "slice" ? "slice:" + canvas.dataset.parameter : canvas.dataset.chart;
      if (head.findings[name]) canvas.setAttribute("aria-label", head.findings[name]);
    }
  }

  // The tables of the page are written anew by the server, unless somebody is at work in them

  function refresh(part) {
    const isUsed = part.contains(document.activeElement) || part.querySelector("input:checked");
    if (part.closest("details:not([open])") || isUsed) part.dataset.stale = "";
    else htmx.trigger(part, "refresh");
  }

  document.addEventListener("toggle", (event) => {
    for (const part of event.target.querySelectorAll("[data-refresh][data-stale]")) refresh(part);
  }, true);

  // Data

  function take(news) {
    if (news.reset) known.clear();
    for (const one of news.experiments) known.set(one.number, one);
    const before = head.version || holder.dataset.version;
    head = { ...head, ...news, experiments: null };
    byNumber = [...known.values()].sort((a, b) => a.number - b.number);
    tell();
    draw();
    if (head.version !== before) for (const part of document.querySelectorAll("[data-refresh]")) refresh(part);
  }

  function address() {
    const url = new URL(holder.dataset.charts, location.href);
    if (!canvases.some((canvas) => canvas.dataset.chart === "scatter")) url.searchParams.set("only", "history");
    if (head.version) url.searchParams.set("seen", head.version);
    if (head.latest) url.searchParams.set("since", String(head.latest));
    return url;
  }

  // Whether to ask again
  async function ask() {
    const { lost, say } = window.autotuner;
    let answer;
    try {
      answer = await fetch(address(), { headers: { "HX-Request": "true" } });
    } catch (error) {
      lost(true);
      return true;
    }
    lost(false);
    if (answer.status === 200) take(await answer.json());
    else if (!answer.ok) say(answer.headers.get("X-Reason") || "The server answered " + answer.status + ".", "error");
    return answer.ok ? !head.finished : answer.status >= 500;
  }

  async function watch() {
    const goOn = window.autotuner.isLive() || !head.version ? await ask() : true;
    if (goOn) setTimeout(watch, POLL_MS);
  }

  startPickers();
  for (const canvas of canvases) charts.push(STARTS[canvas.dataset.chart](canvas));
  watch();
})();
