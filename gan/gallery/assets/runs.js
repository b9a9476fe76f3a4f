/* The page's data, which later ones replace while it follows, and what is computed from the summary of a run. */
let DATA = JSON.parse(document.getElementById("data").textContent);
let RUNS = new Map(DATA.runs.map((run) => [run.path, run]));

/** A setting of a run; summaries hold only those that differ from the defaults. */
const setting = (run, name) => run.settings[name] ?? DATA.defaults[name];

/** The time is for a run that was begun anew: a browser would show the grids that it knows by these names. */
const gridPath = (run, iteration) => `${run.path}/${String(iteration).padStart(6, "0")}.png?${run.begun}`;
const formatSize = (run) => `${run.image_size} × ${run.image_size}`;

/** The last part of the data's path. */
const baseName = (path) => String(path).replace(/[\\/]+$/, "").split(/[\\/]/).at(-1) || "data";
const dataName = (run) => [].concat(setting(run, "data")).map(baseName).join(" + ");

/** The address of a run's view, or of the comparison of two runs. */
const link = (run, other) =>
  "#run=" + encodeURIComponent(run.path) + (other ? "&with=" + encodeURIComponent(other.path) : "");

/** The numbers of weights of generator and discriminator, or null where they are not known. */
function countWeights(run) {
  const { generator = 0, discriminator = 0 } = run.weights ?? {};
  return generator + discriminator ? [generator, discriminator] : null;
}

/** How far a run is, from 0 to 1; null where its length is not known. */
function progress(run) {
  const { iterations, seconds } = run.target ?? {};
  const done = seconds ? (run.seconds ?? 0) / seconds : iterations ? run.iterations / iterations : null;
  return done == null ? null : done > 0.99 ? 1 : done; // the number of iterations in a pass is only nearly known
}

/** The seconds of training up to an iteration; null where the run has no log. */
function secondsAt(run, iteration) {
  if (!run.curve) return null;
  return interpolate([0, ...run.curve.iteration, run.iterations], [0, ...run.curve.seconds, run.seconds], iteration);
}

/** Linear interpolation of points with increasing xs; constant beyond the first and the last. */
function interpolate(xs, ys, x) {
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
