// What the charts share: colours and shapes from the style sheet, lines across a chart, what a hover says.
(function () {
  "use strict";
  if (!window.Chart) return;

  const NAMES = ["accent", "good", "warn", "bad", "busy", "text", "text-2", "text-3", "border", "border-strong", "surface"];
  const EDGE = 6;
  const figures = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 4 });

  // The variables hold light-dark(...), which a canvas does not understand: an element resolves them.
  function palette() {
    const probe = document.createElement("span");
    probe.hidden = true;
    document.body.append(probe);
    const colours = {};
    for (const name of NAMES) {
      probe.style.color = "var(--" + name + ")";
      colours[name] = getComputedStyle(probe).color;
    }
    probe.remove();
    return colours;
  }

  // How each kind of point looks: shape tells what colour tells.
  function looks(colours) {
    return {
      feasible: { pointStyle: "circle", radius: 4, borderColor: colours.surface, backgroundColor: colours.accent, borderWidth: 1 },
      infeasible: { pointStyle: "triangle", radius: 5, borderColor: colours["text-3"], backgroundColor: "transparent", borderWidth: 1.5 },
      failed: { pointStyle: "crossRot", radius: 5, borderColor: colours.bad, backgroundColor: colours.bad, borderWidth: 2 },
      baseline: { pointStyle: "rectRot", radius: 8, borderColor: colours["text-2"], backgroundColor: "transparent", borderWidth: 2 },
      best: { pointStyle: "circle", radius: 8, borderColor: colours.good, backgroundColor: "transparent", borderWidth: 3 },
      line: { borderColor: colours.good, backgroundColor: colours.good, borderWidth: 2, pointRadius: 0, pointStyle: "line" },
    };
  }

  // Lines across the whole chart: chart.$marks = {lines: [{axis: "x", at: 250, text: "SLO 250 ms"}], colour}

  function across(chart, mark) {
    const area = chart.chartArea;
    const place = chart.scales[mark.axis].getPixelForValue(mark.at);
    const [low, high] = mark.axis === "x" ? [area.left, area.right] : [area.top, area.bottom];
    if (!Number.isFinite(place) || place < low - 1 || place > high + 1) return null;
    return mark.axis === "x" ? [place, area.top, place, area.bottom] : [area.left, place, area.right, place];
  }

  function write(context, text, x, y, ground) {
    context.save();
    context.setLineDash([]);
    context.lineWidth = 4;
    context.strokeStyle = ground;
    context.strokeText(text, x, y);
    context.fillText(text, x, y);
    context.restore();
  }

  const marks = {
    id: "marks",
    afterDatasetsDraw(chart) {
      const options = chart.$marks || {};
      const context = chart.ctx;
      context.save();
      context.setLineDash([5, 4]);
      context.lineWidth = 1.5;
      context.font = Chart.defaults.font.size + "px " + Chart.defaults.font.family;
      for (const mark of options.lines || []) {
        const line = across(chart, mark);
        if (!line) continue;
        context.strokeStyle = context.fillStyle = options.colour;
        context.beginPath();
        context.moveTo(line[0], line[1]);
        context.lineTo(line[2], line[3]);
        context.stroke();
        const isRight = mark.axis === "y" || line[0] > (chart.chartArea.left + chart.chartArea.right) / 2;
        context.textAlign = isRight ? "right" : "left";
        const x = mark.axis === "y" ? line[2] : line[0] + (isRight ? -EDGE : EDGE);
        const isLow = mark.axis === "y" && line[1] - chart.chartArea.top > 2 * EDGE + Chart.defaults.font.size;
        const y = mark.axis === "y" ? line[1] + (isLow ? -EDGE : EDGE + Chart.defaults.font.size) : line[1] + 2 * EDGE;
        write(context, mark.text, x, y, options.ground);
      }
      context.restore();
    },
  };

  function number(value) {
    return Number.isFinite(value) ? figures.format(value) : "-";
  }

  function quantity(value, unit) {
    return unit ? number(value) + " " + unit : number(value);
  }

  function title(metric) {
    return metric.unit ? metric.label + " (" + metric.unit + ")" : metric.label;
  }

  // A chart that is made once and told afterwards what it shows; `onPoint` is called with the experiment's number.
  function make(canvas, options, onPoint) {
    const chart = new Chart(canvas, {
      type: "scatter",
      data: { datasets: [] },
      plugins: [marks],
      options: {
        animation: false,
        responsive: true,
        maintainAspectRatio: false,
        clip: false,
        interaction: { mode: "nearest", intersect: true },
        onHover: (event, points) => (canvas.style.cursor = points.some(hasNumber) ? "pointer" : "default"),
        onClick: (event, points) => {
          const point = points.find(hasNumber);
          if (point) onPoint(point.element.$context.raw.experiment.number);
        },
        ...options,
      },
    });
    chart.$marks = { lines: [] };
    return chart;
  }

  function hasNumber(point) {
    return Boolean(point.element.$context && point.element.$context.raw.experiment);
  }

  // What was given to a chart is changed, not what the chart makes of it.
  function colourIn(chart, colours) {
    const { scales, plugins } = chart.config.options;
    for (const scale of [scales.x, scales.y]) {
      scale.grid = { ...scale.grid, color: colours.border };
      scale.border = { color: colours["border-strong"] };
      scale.ticks = { ...scale.ticks, color: colours["text-2"] };
      scale.title = { ...scale.title, color: colours["text-2"] };
    }
    plugins.legend.labels = { ...plugins.legend.labels, color: colours["text-2"] };
    Object.assign(chart.$marks, { colour: colours["text-2"], ground: colours.surface });
    Object.assign(plugins.tooltip, {
      backgroundColor: colours.surface,
      borderColor: colours["border-strong"],
      borderWidth: 1,
      titleColor: colours.text,
      bodyColor: colours["text-2"],
      padding: 10,
      displayColors: false,
    });
  }

  // Of two numbers the better one; of points those that no other is better than in both metrics.

  function better(direction, one, other) {
    return direction === "maximize" ? one > other : one < other;
  }

  function front(points, xDirection, yDirection) {
    const inOrder = [...points].sort((a, b) => {
      if (a.x !== b.x) return better(xDirection, a.x, b.x) ? -1 : 1;
      return better(yDirection, a.y, b.y) ? -1 : 1;
    });
    const found = [];
    for (const point of inOrder) {
      if (!found.length || better(yDirection, point.y, found[found.length - 1].y)) found.push(point);
    }
    return found.sort((a, b) => a.x - b.x);
  }

  window.autotunerCharts = { palette, looks, make, colourIn, number, quantity, title, better, front };
})();
