/* The grids of one run or two on one slider, and charts with a marker at the same position. */
const REDUCED_MOTION = matchMedia("(prefers-reduced-motion: reduce)");
const AXES = {
  iteration: { name: "iteration", at: (run, iteration) => iteration, format: formatShort },
  images: { name: "images seen", at: (run, iteration) => iteration * run.images_per_iteration, format: formatShort },
  seconds: {
    name: "time", at: secondsAt, format: formatDuration,
    steps: [1, 5, 15, 30, 60, 300, 900, 1800, 3600, 10800, 43200, 86400],
  },
};

/** The grid of a run. It changes when the next one is loaded, without flicker; of many requests the last one counts. */
class GridView {
  constructor(run, hasTitle) {
    this.run = run;
    this.image = html("img", { alt: "", draggable: "false" });
    this.caption = html("figcaption");
    this.missing = html("p", { class: "missing", hidden: true });
    this.element = html("figure", { class: "grid-view" },
      hasTitle && html("h2", {}, html("a", { href: link(run) }, run.name)),
      html("div", { class: "frame" }, this.image, this.missing), this.caption);
    this.image.addEventListener("load", () => this.setRendering());
    new ResizeObserver(() => this.setRendering()).observe(this.image);
  }

  /** Enlarged pixels stay square; a reduced image is smoothed. */
  setRendering() {
    this.image.classList.toggle("pixelated", this.image.clientWidth * devicePixelRatio >= this.image.naturalWidth);
  }

  /** Shows the grid of an iteration; `isLast` where the slider is beyond the run's last one. */
  async show(iteration, isLast) {
    const time = secondsAt(this.run, iteration), images = iteration * this.run.images_per_iteration;
    const parts = iteration == null ? ["no grid yet"] : [
      `iteration ${formatCount(iteration)}`, `${formatCount(images)} images`, time != null && formatDuration(time),
      isLast && "last grid"];
    this.caption.replaceChildren(...parts.filter(Boolean).map((part) => html("span", {}, part)));
    this.wanted = iteration;
    if (iteration != null) await (this.loading ??= this.load().finally(() => (this.loading = null)));
  }

  /** Goes on with a later summary of the run; one that was begun anew has other grids. */
  follow(run) {
    if (run.begun !== this.run.begun) this.current = null;
    this.run = run;
  }

  async load() {
    while (this.current !== this.wanted) {
      const iteration = this.wanted, next = html("img", { src: gridPath(this.run, iteration) });
      const exists = await next.decode().then(() => true, () => false);
      this.current = iteration;
      this.missing.hidden = exists;
      this.missing.textContent = exists ? "" : `The grid of iteration ${formatCount(iteration)} was removed.`;
      const alt = `Samples of ${this.run.name} at iteration ${formatCount(iteration)}`;
      if (exists) update(this.image, { src: next.src, alt });
    }
  }

  /** Starts to load the grids next to the one at an index, so that the slider moves smoothly. */
  preload(index) {
    this.preloaded = [1, -1, 2].map((offset) => this.run.grids[index + offset])
      .filter((iteration) => iteration != null)
      .map((iteration) => html("img", { src: gridPath(this.run, iteration) }));
  }
}

class Viewer {
  constructor(runs) {
    this.runs = runs;
    this.views = runs.map((run) => new GridView(run, runs.length > 1));
    const slide = () => this.go(this.slider.valueAsNumber);
    this.slider = html("input", { type: "range", min: 0, step: 1, "aria-label": "Position in training", input: slide });
    this.button = html("button", { type: "button", class: "play", click: () => this.togglePlayback() });
    this.output = html("output", { "aria-hidden": "true" });
    this.select = html("select", { change: () => this.setAxis(this.select.value) },
      Object.entries(AXES).map(([name, axis]) => option(name, axis.name)));
    const axis = html("label", {}, runs.length > 1 ? "align by " : "x axis ", this.select);
    const controls = html("div", { class: "controls" }, this.button, this.slider, this.output, axis);
    this.mainPlots = html("div", { class: "plots" });
    this.scalarPlots = html("div", { class: "plots" });
    this.choice = this.scalarChoice();
    const charts = html("div", { class: "charts" }, this.mainPlots, this.choice, this.scalarPlots);
    this.element = html("div", { class: runs.length > 1 ? "viewer two" : "viewer" },
      controls, html("div", { class: "grid-views" }, this.views.map((view) => view.element)), charts);
    this.stop();
    this.setAxis("iteration");
  }

  /** A checkbox for each scalar that is not always on the charts. */
  scalarChoice() {
    const names = listScalars(this.runs);
    const choose = (name, box) => {
      if (box.checked) chosenScalars.add(name);
      else chosenScalars.delete(name);
      this.drawCharts();
    };
    const boxes = names.map((name) => {
      const checked = chosenScalars.has(name);
      const box = html("input", { type: "checkbox", checked, change: () => choose(name, box) });
      return html("label", {}, box, label(name));
    });
    return html("fieldset", { class: "scalars", hidden: !boxes.length }, html("legend", {}, "More charts"), boxes);
  }

  /** Counts in iterations, images or seconds; the grid of the first run stays the same. */
  setAxis(name) {
    const current = this.index != null ? this.views[0].wanted : null;
    this.axis = AXES[name];
    this.place();
    if (current == null) this.go(this.stops.length - 1);
    else this.goNear(this.axis.at(this.runs[0], current));
  }

  /** Goes on with later summaries of the runs. The slider stays near its position, and at the end if it is there. */
  follow(runs) {
    const position = this.stops[this.index], isAtEnd = this.index >= this.stops.length - 1;
    this.views.forEach((view, i) => view.follow(runs[i]));
    this.runs = runs;
    this.choice = replace(this.choice, this.scalarChoice());
    this.place();
    if (isAtEnd) this.go(this.stops.length - 1);
    else this.goNear(position);
  }

  /** Computes the stops of the slider, and draws the charts. */
  place() {
    const time = this.select.querySelector("[value=seconds]");
    time.hidden = time.disabled = !this.runs.every((run) => run.curve);
    this.positions = this.runs.map((run) => run.grids.map((iteration) => this.axis.at(run, iteration)));
    this.stops = [...new Set(this.positions.flat())].sort((a, b) => a - b);
    this.slider.max = Math.max(0, this.stops.length - 1);
    this.slider.disabled = this.button.disabled = this.stops.length < 2;
    this.drawCharts();
  }

  drawCharts() {
    const max = Math.max(...this.runs.map((run) => this.axis.at(run, run.iterations) ?? 0));
    const axis = { max, format: this.axis.format, steps: this.axis.steps };
    const build = (chart) => (chart.lines ? new Chart(chart, axis, (x) => this.goNear(x)) : chart);
    const main = mainCharts(this.runs, this.axis).map(build), scalars = scalarCharts(this.runs, this.axis).map(build);
    const elements = (charts) => charts.map((chart) => chart.element ?? html("p", { class: "note" }, chart.note));
    this.mainPlots.replaceChildren(...elements(main));
    this.scalarPlots.replaceChildren(...elements(scalars));
    this.charts = [...main, ...scalars];
    for (const chart of this.charts) chart.mark?.(this.stops[this.index] ?? 0);
  }

  /** Goes to the stop nearest to a position. */
  goNear(position) {
    const distances = this.stops.map((stop) => Math.abs(stop - position));
    this.go(distances.indexOf(Math.min(...distances)));
  }

  step(offset) {
    this.go(Math.max(0, Math.min(this.stops.length - 1, this.index + offset)));
  }

  async go(index) {
    this.index = Math.max(0, index);
    const position = this.stops[this.index] ?? 0;
    const text = this.axis === AXES.seconds ? formatDuration(position) : formatCount(position);
    this.slider.value = this.index;
    this.slider.setAttribute("aria-valuetext", `${this.axis.name} ${text}`);
    this.output.textContent = text;
    for (const chart of this.charts) chart.mark?.(position);
    await Promise.all(this.views.map((view, i) => {
      const last = Math.max(0, this.positions[i].filter((one) => one <= position).length - 1);
      view.preload(last);
      return view.show(view.run.grids[last], position > this.positions[i].at(-1));
    }));
  }

  labelButton() {
    this.button.textContent = this.playback ? "❚❚" : "▶︎";
    this.button.setAttribute("aria-label", this.playback ? "Pause" : "Play");
  }

  stop() {
    this.playback = null;
    this.labelButton();
  }

  /** Plays all grids in about ten seconds, from here or, at the end, from the start; slower with reduced motion. */
  async togglePlayback() {
    if (this.playback) return this.stop();
    const playback = (this.playback = {}); // a later start has an object of its own
    this.labelButton();
    if (this.index >= this.stops.length - 1) await this.go(0);
    const pause = REDUCED_MOTION.matches ? 1000 : Math.max(50, Math.min(500, 10000 / this.stops.length));
    while (this.playback === playback && this.index < this.stops.length - 1) {
      await new Promise((done) => setTimeout(done, pause));
      if (this.playback === playback) await this.go(this.index + 1);
    }
    if (this.playback === playback) this.stop();
  }
}
