/* One run or two on one slider: pictures, and curves with a marker that follows. */
const AXES = {
  iteration: { name: "iteration", at: (run, iteration) => iteration, say: short },
  images: { name: "images seen", at: (run, iteration) => iteration * run.per, say: short },
  seconds: { name: "time", at: seconds, say: clock, steps: [1, 5, 15, 30, 60, 300, 900, 1800, 3600, 10800, 43200, 86400] },
};

/** The seconds of training up to an iteration, or null where the run has no log. */
function seconds(run, iteration) {
  if (!run.curve) return null;
  return between([0, ...run.curve.iteration, run.iterations], [0, ...run.curve.seconds, run.seconds], iteration);
}

/** A picture that changes when the next one is there, so that nothing flickers; of many asked for it shows the last. */
class Stage {
  constructor(run, titled) {
    this.run = run;
    this.image = make("img", { alt: "", draggable: "false" });
    this.caption = make("figcaption");
    this.missing = make("p", { class: "missing", hidden: true });
    this.element = make("figure", { class: "stage" },
      titled && make("h2", {}, make("a", { href: link(run) }, run.name)),
      make("div", { class: "frame" }, this.image, this.missing), this.caption);
    this.image.addEventListener("load", () => this.crisp());
    new ResizeObserver(() => this.crisp()).observe(this.image);
  }

  /** Pixels stay square where they are enlarged; shrunk they are averaged. */
  crisp() {
    this.image.classList.toggle("crisp", this.image.clientWidth * devicePixelRatio >= this.image.naturalWidth);
  }

  async show(iteration, beyond) {
    const time = clock(seconds(this.run, iteration));
    const words = iteration == null ? ["no picture yet"] : [
      `iteration ${whole(iteration)}`, `${whole(iteration * this.run.per)} images`, time !== "–" && time,
      beyond && "its last"];
    this.caption.replaceChildren(...words.filter(Boolean).map((word) => make("span", {}, word)));
    this.wanted = iteration;
    if (iteration != null) await (this.loading ??= this.load().finally(() => (this.loading = null)));
  }

  async load() {
    while (this.shown !== this.wanted) {
      const iteration = this.wanted, next = make("img", { src: picture(this.run, iteration) });
      const there = await next.decode().then(() => true, () => false);
      this.shown = iteration;
      this.missing.hidden = there;
      this.missing.textContent = there ? "" : `The picture of iteration ${whole(iteration)} is not there any more.`;
      const alt = `Samples of ${this.run.name} at iteration ${whole(iteration)}`;
      if (there) fill(this.image, { src: next.src, alt }, []);
    }
  }
}

class Viewer {
  constructor(runs) {
    this.runs = runs;
    this.stages = runs.map((run) => new Stage(run, runs.length > 1));
    this.slider = make("input", {
      type: "range", min: 0, step: 1, "aria-label": "Moment of training", input: () => this.go(this.slider.valueAsNumber),
    });
    this.button = make("button", { type: "button", class: "play", click: () => this.toggle() });
    this.output = make("output", { "aria-hidden": "true" });
    this.plots = make("div", { class: "charts" });
    const axes = Object.entries(AXES).filter(([name]) => name !== "seconds" || runs.every((run) => run.curve));
    this.select = make("select", { change: () => this.along(this.select.value) },
      axes.map(([name, axis]) => make("option", { value: name }, axis.name)));
    const label = make("label", {}, runs.length > 1 ? "aligned by " : "along ", this.select);
    const controls = make("div", { class: "controls" }, this.button, this.slider, this.output, label);
    this.element = make("div", { class: runs.length > 1 ? "viewer two" : "viewer" },
      controls, make("div", { class: "stages" }, this.stages.map((stage) => stage.element)), this.plots);
    this.playing = 0;
    this.label();
    this.along("iteration");
  }

  /** Counts the way in iterations, images or time; what is shown of the first run stays. */
  along(name) {
    const here = this.index != null && this.stages[0].wanted;
    this.axis = AXES[name];
    const places = this.runs.map((run) => run.grids.map((iteration) => this.axis.at(run, iteration)));
    this.stops = [...new Set(places.flat())].sort((one, other) => one - other);
    this.places = places;
    this.slider.max = Math.max(0, this.stops.length - 1);
    this.slider.disabled = this.button.disabled = this.stops.length < 2;
    const most = Math.max(...this.runs.map((run) => this.axis.at(run, run.iterations) ?? 0));
    this.charts = charts(this.runs, this.axis).map((chart) => (chart.lines
      ? new Chart(chart, { most, say: this.axis.say, steps: this.axis.steps }, (x) => this.near(x))
      : make("p", { class: "note" }, chart.note)));
    this.plots.replaceChildren(...this.charts.map((chart) => chart.element ?? chart));
    if (here == null || here === false) this.go(this.stops.length - 1);
    else this.near(this.axis.at(this.runs[0], here));
  }

  /** Shows the stop that is nearest. */
  near(x) {
    const apart = this.stops.map((stop) => Math.abs(stop - x));
    this.go(apart.indexOf(Math.min(...apart)));
  }

  step(by) {
    this.go(Math.max(0, Math.min(this.stops.length - 1, this.index + by)));
  }

  async go(index) {
    this.index = Math.max(0, index);
    const at = this.stops[this.index] ?? 0, text = `${this.axis === AXES.seconds ? clock(at) : whole(at)}`;
    this.slider.value = this.index;
    this.slider.setAttribute("aria-valuetext", `${this.axis.name} ${text}`);
    this.output.textContent = text;
    for (const chart of this.charts) chart.mark?.(at);
    await Promise.all(this.stages.map((stage, i) => {
      const past = this.places[i].filter((place) => place <= at).length - 1;
      this.ahead(stage, Math.max(0, past));
      return stage.show(stage.run.grids[Math.max(0, past)], at > this.places[i].at(-1));
    }));
  }

  /** Loads the neighbors of a picture ahead. */
  ahead(stage, at) {
    stage.next = [1, -1, 2].map((by) => stage.run.grids[at + by]).filter((iteration) => iteration != null)
      .map((iteration) => make("img", { src: picture(stage.run, iteration) }));
  }

  label() {
    this.button.textContent = this.playing ? "❚❚" : "▶︎";
    this.button.setAttribute("aria-label", this.playing ? "Pause" : "Play");
  }

  stop() {
    this.playing = 0;
    this.label();
  }

  /** Plays from here, or from the start where this is the end: all in some ten seconds, slower where less may move. */
  async toggle() {
    if (this.playing) return this.stop();
    const turn = (this.playing = (Viewer.turns = (Viewer.turns ?? 0) + 1));
    this.label();
    if (this.index >= this.stops.length - 1) await this.go(0);
    const pause = REDUCED.matches ? 1000 : Math.max(50, Math.min(500, 10000 / this.stops.length));
    while (this.playing === turn && this.index < this.stops.length - 1) {
      await new Promise((done) => setTimeout(done, pause));
      if (this.playing === turn) await this.go(this.index + 1);
    }
    if (this.playing === turn) this.stop();
  }
}

const LABELS = { d_loss: "discriminator", g_loss: "generator", face_rate: "faces found" };
const label = (name) => LABELS[name] ?? name.replaceAll("_", " ");

/** The quantity of a scalar: its name without the network that it is of, so that d_loss and g_loss share a chart. */
const quantity = (name) => name.split("_").filter((part) => !["d", "g", "real", "fake"].includes(part)).join(" ");

/** The charts of one run: losses, score, variety, and all other scalars by quantity. Of two runs, a line a run. */
function charts(runs, axis) {
  const scored = runs.filter((run) => run.scores), kid = `kid-${scored[0]?.scores.network}`;
  const losses = (values) => ({ top: 1.1 * values.sort((a, b) => a - b)[Math.floor(0.995 * (values.length - 1))] || 1 });
  const scale = () => ({ scale: "symlog" });
  const chart = (title, lines, more) => {
    const known = lines.filter((line) => line?.y.some((value) => value != null));
    const values = known.flatMap((line) => line.y.filter((value) => value != null));
    return known.length ? [{ title, lines: known, ...more?.(values) }] : [];
  };
  const line = (run, part, name, label, color) =>
    run[part]?.[name] && { label, color, x: run[part].iteration.map((iteration) => axis.at(run, iteration)), y: run[part][name] };
  const ofOne = (part, names) => names.map((name, i) => line(runs[0], part, name, name === "kid" ? kid : label(name), i));
  const ofTwo = (part, name) => runs.map((run, i) => line(run, part, name, run.name, i));
  const scalars = [...new Set(runs.flatMap((run) => run.scalars ?? []))].filter((name) => !/^[dg]_loss$/.test(name));
  if (runs.length === 1) {
    const groups = new Map();
    for (const name of scalars) groups.set(quantity(name), [...(groups.get(quantity(name)) ?? []), name]);
    const title = (text) => text.charAt(0).toUpperCase() + text.slice(1);
    return [
      ...chart("Losses", ofOne("curve", ["d_loss", "g_loss"]), losses),
      ...chart(`${kid}, centered; low is good`, ofOne("scores", ["kid"]), scale),
      ...chart("Variety, 1: as real images", ofOne("scores", ["face_rate", "diversity", "memorization"])),
      ...[...groups].flatMap(([name, group]) => chart(title(name), ofOne("curve", group), losses)),
    ];
  }
  const comparable = new Set(scored.map((run) => run.scores.group)).size < 2;
  return [
    ...chart("Discriminator's loss", ofTwo("curve", "d_loss"), losses),
    ...chart("Generator's loss", ofTwo("curve", "g_loss"), losses),
    ...(comparable ? chart(`${kid}, centered; low is good`, ofTwo("scores", "kid"), scale) : []),
    ...(comparable ? chart("Diversity, 1: as real images", ofTwo("scores", "diversity")) : []),
    ...(comparable ? [] : [{ note: "Their scores during training were measured differently, so they do not share a chart." }]),
    ...scalars.flatMap((name) => chart(label(name), ofTwo("curve", name), losses)),
  ];
}
