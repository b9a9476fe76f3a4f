/* Draws a line chart with a marker, which follows the slider; a press or a drag on the chart moves both. curves.js says
   which charts there are: losses, scores, other scalars. */
const HEIGHT = 132, LEFT = 44, BOTTOM = 20, TOP = 6, RIGHT = 8; // pixels
const COLORS = 4; // line0 to line3 in the style sheet

/** The symmetric logarithm is for scores, which fall from hundreds of thousands to about 0, on either side of it. */
const SCALES = {
  linear: { transform: (value) => value, ticks: [] },
  symlog: {
    transform: (value) => Math.sign(value) * Math.log10(1 + Math.abs(value) / 10),
    ticks: [0, 10, 100, 1e3, 1e4, 1e5, 1e6],
  },
};

/** About `count` round numbers from low to high; `steps` are the round distances, by default 1, 2 and 5 times 10^n. */
function makeTicks(low, high, count, steps = null) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const unit = steps ? 1 : 10 ** Math.floor(Math.log10(span / count));
  steps ??= [1, 2, 5, 10];
  const step = unit * (steps.find((one) => one * unit >= span / count) ?? steps.at(-1));
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * span; i++) ticks.push(i * step || 0); // not -0
  return ticks;
}

class Chart {
  /**
   * `lines`: [{label, x, y, color}], of which x increases; `top`: the largest value on the y axis.
   * `axis`: {max, format, steps} of the x axis. `onPick(x)` is called for a press on the chart.
   */
  constructor({ title, lines, scale = "linear", top }, axis, onPick) {
    Object.assign(this, { title, lines, scale: SCALES[scale], axis, position: 0 });
    const values = lines.flatMap((line) => line.y);
    this.low = Math.min(0, ...values);
    this.high = top ?? Math.max(0, ...values);
    if (!(this.high > this.low)) this.high = this.low + 1;
    const labels = lines.map((line) => line.label).join(", ");
    this.svg = svg("svg", { role: "img", "aria-label": `${title}: ${labels}` });
    this.readouts = lines.map(() => html("b"));
    const legend = lines.map((line, i) =>
      html("li", { class: this.color(i) }, html("i"), line.label, " ", this.readouts[i]));
    this.element = html("figure", { class: "chart" },
      html("figcaption", {}, html("strong", {}, title), html("ul", {}, legend)), this.svg);
    const pick = (event) => {
      if (event.type === "pointerdown") this.svg.setPointerCapture(event.pointerId);
      else if (!this.svg.hasPointerCapture(event.pointerId)) return;
      const box = this.svg.getBoundingClientRect();
      onPick(Math.max(0, Math.min(1, (event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT))) * axis.max);
    };
    this.svg.addEventListener("pointerdown", pick);
    this.svg.addEventListener("pointermove", pick);
    new ResizeObserver(() => this.paint()).observe(this.svg);
  }

  /** The class that colors a line. */
  color(i) {
    return `line${(this.lines[i].color ?? i) % COLORS}`;
  }

  x(value) {
    return LEFT + ((this.width - LEFT - RIGHT) * value) / (this.axis.max || 1);
  }

  y(value) {
    const [low, high, here] = [this.low, this.high, Math.min(value, this.high)].map(this.scale.transform);
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (here - low) / (high - low));
  }

  paint() {
    this.width = this.svg.clientWidth;
    if (!this.width) return;
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    this.marker = svg("line", { class: "marker", y1: TOP, y2: HEIGHT - BOTTOM });
    this.dots = this.lines.map((line, i) => svg("circle", { class: this.color(i), r: 3.5 }));
    const paths = this.lines.map((line, i) => svg("path", { class: this.color(i), d: this.path(line) }));
    this.svg.replaceChildren(...this.ticks(), ...paths, this.marker, ...this.dots);
    this.mark(this.position);
  }

  /** Horizontal rules, and the numbers of both axes. */
  ticks() {
    const fixed = this.scale.ticks.filter((tick) => tick >= this.low && tick <= this.high)
      .filter((tick, i, all) => !i || this.y(all[i - 1]) - this.y(tick) > 12);
    const vertical = fixed.length > 2 ? fixed : makeTicks(this.low, this.high, 3);
    const horizontal = makeTicks(0, this.axis.max, Math.max(2, this.width / 130), this.axis.steps);
    const format = (tick) => {
      const rounded = Number(tick.toPrecision(3)), size = Math.abs(rounded);
      return size >= 1000 ? formatShort(rounded) : size && size < 1e-3 ? rounded.toExponential() : String(rounded);
    };
    return [
      ...vertical.map((tick) => svg("g", { class: "rule" },
        svg("line", { x1: LEFT, x2: this.width - RIGHT, y1: this.y(tick), y2: this.y(tick) }),
        svg("text", { x: LEFT - 6, y: this.y(tick) + 3.5, "text-anchor": "end" }, format(tick)))),
      ...horizontal.map((tick) => svg("text", {
        x: this.x(tick), y: HEIGHT - 4,
        "text-anchor": !tick ? "start" : this.x(tick) > this.width - 40 ? "end" : "middle",
      }, this.axis.format(tick))),
    ];
  }

  path({ x, y }) {
    return x.map((value, k) => `${k ? "L" : "M"}${this.x(value).toFixed(1)} ${this.y(y[k]).toFixed(1)}`).join("");
  }

  /** Moves the marker to a position on the x axis, and shows the values there. */
  mark(position) {
    this.position = position;
    this.lines.forEach((line, i) => {
      const value = interpolate(line.x, line.y, position);
      this.readouts[i].textContent = formatValue(value);
      if (this.marker) update(this.dots[i], { cx: this.x(Math.min(position, line.x.at(-1))), cy: this.y(value) });
    });
    if (this.marker) update(this.marker, { x1: this.x(position), x2: this.x(position) });
  }
}
