/* A line chart with a marker; a press or a drag on it moves the marker. */
const HEIGHT = 132, LEFT = 44, BOTTOM = 20, TOP = 6, RIGHT = 8;

/** A symmetric logarithm: scores go from hundreds of thousands to about 0, on either side of it. */
const SCALES = {
  linear: { to: (value) => value, ticks: [] },
  symlog: {
    to: (value) => Math.sign(value) * Math.log10(1 + Math.abs(value) / 10), ticks: [0, 10, 100, 1e3, 1e4, 1e5, 1e6],
  },
};

/** The value of a line at x, between its two neighbors; its first and last beyond its ends. */
function between(xs, ys, x) {
  let low = 0, high = xs.length - 1;
  if (high < 0 || x == null) return null;
  if (x <= xs[0]) return ys[0];
  if (x >= xs[high]) return ys[high];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle;
    else high = middle;
  }
  if (ys[low] == null || ys[high] == null) return null;
  return ys[low] + ((ys[high] - ys[low]) * (x - xs[low])) / (xs[high] - xs[low]);
}

/** Round numbers from low to high, about so many. */
function ticks(low, high, about, steps = [1, 2, 5, 10]) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const size = steps.length > 4 ? 1 : 10 ** Math.floor(Math.log10(span / about));
  const step = size * (steps.find((one) => one * size >= span / about) ?? steps.at(-1));
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * span; i++) found.push(i * step || 0); // not -0
  return found;
}

class Chart {
  /** `lines`: [{label, x, y}]; `along`: {most, say, steps} of the x axis; `pick(x)` is called where somebody presses. */
  constructor({ title, lines, scale = "linear", top, say = few }, along, pick) {
    Object.assign(this, { title, lines, scale: SCALES[scale], along, say, at: 0 });
    const values = lines.flatMap((line) => line.y.filter((value) => value != null));
    this.low = Math.min(0, ...values);
    this.high = top ?? Math.max(...values, 0);
    if (!(this.high > this.low)) this.high = this.low + 1;
    this.svg = draw("svg", { role: "img", "aria-label": `${title}: ${lines.map((line) => line.label).join(", ")}` });
    this.values = lines.map(() => make("b"));
    const keys = lines.map((line, i) =>
      make("li", { class: `line${line.color ?? i}` }, make("i"), line.label, " ", this.values[i]));
    this.element = make("figure", { class: "chart" },
      make("figcaption", {}, make("strong", {}, title), make("ul", {}, keys)), this.svg);
    const press = (event) => {
      if (event.type === "pointerdown") this.svg.setPointerCapture(event.pointerId);
      else if (!this.svg.hasPointerCapture(event.pointerId)) return;
      const box = this.svg.getBoundingClientRect();
      pick(Math.max(0, Math.min(1, (event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT))) * this.along.most);
    };
    this.svg.addEventListener("pointerdown", press);
    this.svg.addEventListener("pointermove", press);
    new ResizeObserver(() => this.paint()).observe(this.svg);
  }

  x(value) {
    return LEFT + ((this.width - LEFT - RIGHT) * value) / (this.along.most || 1);
  }

  y(value) {
    const [low, high, here] = [this.low, this.high, Math.min(value, this.high)].map(this.scale.to);
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (here - low) / (high - low));
  }

  paint() {
    this.width = this.svg.clientWidth;
    if (!this.width) return;
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    this.marker = draw("line", { class: "marker", y1: TOP, y2: HEIGHT - BOTTOM });
    this.dots = this.lines.map((line, i) => draw("circle", { class: `line${line.color ?? i}`, r: 3.5 }));
    const paths = this.lines.map((line, i) => this.path(line, i));
    this.svg.replaceChildren(...this.rules(), ...paths, this.marker, ...this.dots);
    this.mark(this.at);
  }

  /** The grid with its numbers. */
  rules() {
    const known = this.scale.ticks.filter((tick) => tick >= this.low && tick <= this.high)
      .filter((tick, i, all) => !i || this.y(all[i - 1]) - this.y(tick) > 12);
    const across = known.length > 2 ? known : ticks(this.low, this.high, 3);
    const down = ticks(0, this.along.most, Math.max(2, this.width / 130), this.along.steps);
    const text = (tick) => (Math.abs(tick) >= 1000 ? short(tick) : String(Number(tick.toPrecision(3))));
    return [
      ...across.map((tick) => draw("g", { class: "rule" },
        draw("line", { x1: LEFT, x2: this.width - RIGHT, y1: this.y(tick), y2: this.y(tick) }),
        draw("text", { x: LEFT - 6, y: this.y(tick) + 3.5, "text-anchor": "end" }, text(tick)))),
      ...down.map((tick) => draw("text", {
        x: this.x(tick), y: HEIGHT - 4,
        "text-anchor": !tick ? "start" : this.x(tick) > this.width - 40 ? "end" : "middle",
      }, this.along.say(tick))),
    ];
  }

  path(line, i) {
    let pen = "M", d = "";
    line.y.forEach((value, k) => {
      if (value == null) pen = "M";
      else {
        d += `${pen}${this.x(line.x[k]).toFixed(1)} ${this.y(value).toFixed(1)}`;
        pen = "L";
      }
    });
    return draw("path", { class: `line${line.color ?? i}`, d });
  }

  /** Moves the marker, and shows the values there. */
  mark(at) {
    this.at = at;
    this.lines.forEach((line, i) => {
      const value = between(line.x, line.y, at);
      this.values[i].textContent = value == null ? "–" : this.say(value);
      if (!this.marker) return;
      this.dots[i].setAttribute("visibility", value == null ? "hidden" : "visible");
      if (value != null) fill(this.dots[i], { cx: this.x(Math.min(at, line.x.at(-1))), cy: this.y(value) }, []);
    });
    if (this.marker) fill(this.marker, { x1: this.x(at), x2: this.x(at) }, []);
  }
}
