/* What the charts show: losses and scores always, any other scalar of the log if it is chosen. */
const LABELS = { d_loss: "discriminator", g_loss: "generator" };
const label = (name) => LABELS[name] ?? name.replaceAll("_", " ");

/** The scalars that were chosen, by name; the choice holds for all runs while the page is open. */
const chosenScalars = new Set();

/** The names of all scalars of some runs but the losses, which need no choice. */
const listScalars = (runs) =>
  [...new Set(runs.flatMap((run) => Object.values(run.scalars ?? {}).flat()))].filter((name) => !(name in LABELS));

/** One line of a chart, over those of its points that have a value; null where there are none. */
function makeLine(run, part, name, axis, label, color) {
  const values = run[part]?.[name] ?? [];
  const known = values.map((value, i) => i).filter((i) => values[i] != null);
  if (!known.length) return null;
  const x = known.map((i) => axis.at(run, run[part].iteration[i]));
  return { label, color, x, y: known.map((i) => values[i]) };
}

/** A chart of the lines that there are, in a list; an empty one without lines. */
function makeChart(title, lines, more = {}) {
  const known = lines.filter(Boolean);
  return known.length ? [{ title, lines: known, ...more }] : [];
}

/** A chart of scalars. Its top is just above 99.5% of the values, so that single large ones do not flatten the rest. */
function makeScalarChart(title, lines) {
  const values = lines.filter(Boolean).flatMap((line) => line.y).sort((a, b) => a - b);
  const top = 1.1 * values[Math.floor(0.995 * (values.length - 1))];
  return makeChart(title, lines, top > 0 ? { top } : {});
}

/** The charts of losses and scores: for one run, lines by quantity; for two, charts by quantity and lines by run. */
function mainCharts(runs, axis) {
  const scored = runs.filter((run) => run.scores), kid = `kid-${scored[0]?.scores.network}`;
  const quality = `${kid}, centered (lower is better)`, variety = "(1 = real images)", symlog = { scale: "symlog" };
  if (runs.length === 1) {
    const lines = (part, names) => names.map((name, i) =>
      makeLine(runs[0], part, name, axis, name === "kid" ? kid : label(name), i));
    return [
      ...makeScalarChart("Losses", lines("curve", ["d_loss", "g_loss"])),
      ...makeChart(quality, lines("scores", ["kid"]), symlog),
      ...makeChart(`Variety ${variety}`, lines("scores", ["face_rate", "diversity", "memorization"])),
    ];
  }
  const lines = (part, name) => runs.map((run, i) => makeLine(run, part, name, axis, run.name, i));
  const comparable = new Set(scored.map((run) => run.scores.group)).size < 2;
  const note = "The scores during training were measured in different ways, so they have no chart together.";
  return [
    ...makeScalarChart("Loss of the discriminator", lines("curve", "d_loss")),
    ...makeScalarChart("Loss of the generator", lines("curve", "g_loss")),
    ...(comparable ? makeChart(quality, lines("scores", "kid"), symlog) : [{ note }]),
    ...(comparable ? makeChart(`Diversity ${variety}`, lines("scores", "diversity")) : []),
  ];
}

/** The charts of the chosen scalars: for one run those of a group share a chart, for two each has its own. */
function scalarCharts(runs, axis) {
  const chosen = listScalars(runs).filter((name) => chosenScalars.has(name));
  if (runs.length > 1) {
    return chosen.flatMap((name) =>
      makeScalarChart(capitalize(label(name)), runs.map((run, i) => makeLine(run, "curve", name, axis, run.name, i))));
  }
  return Object.entries(runs[0].scalars ?? {}).flatMap(([quantity, names]) => {
    const lines = names.map((name, i) =>
      chosen.includes(name) && makeLine(runs[0], "curve", name, axis, label(name), i));
    return makeScalarChart(capitalize(quantity), lines);
  });
}
