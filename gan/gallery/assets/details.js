/* The text of a run's view: facts, command, scores and settings; and the differences of two runs. */

/** Terms and values for a card (`brief`) and for the head of a run's view. */
function facts(run, brief = false) {
  const weights = countWeights(run);
  return [
    ["iterations", formatCount(run.iterations)],
    ["images seen", formatCount(run.images)],
    ["time", run.seconds == null ? null : formatDuration(run.seconds)],
    run.best && [run.best.name, formatScore(run.best.value)],
    ["parameters", weights && weights.map(brief ? formatShort : formatCount).join(" + ")],
  ];
}

const section = (title, ...content) => html("section", {}, html("h2", {}, title), content);
const note = (...content) => html("p", { class: "note" }, content);
const flagName = (name) => name.replaceAll("_", "-");

/** The command that trains the run, with a button that copies it. */
function command(run) {
  const [first, ...flags] = run.command.split(/ (?=--)/); // no line breaks inside a flag, if it fits
  const code = html("code", {}, first, flags.map((flag) => [" ", html("span", {}, flag)]));
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(run.command);
      announce("Copied");
    } catch {
      getSelection().selectAllChildren(code); // the browser denies access to the clipboard
      announce("Selected: press Ctrl-C to copy");
    }
  };
  return section("Command", html("div", { class: "command" },
    html("pre", { tabindex: 0, role: "region", "aria-label": "Command line of the run" }, code),
    html("button", { type: "button", click: copy }, "Copy")));
}

/** All settings, those that differ from the recipe first. */
function configuration(run) {
  const { overrides } = run, others = Object.keys(DATA.defaults).filter((name) => !overrides.includes(name));
  const list = (names) =>
    definitions(names.map((name) => [flagName(name), formatSetting(setting(run, name))]), { class: "settings" });
  return section("Configuration",
    note(`Recipe ${setting(run, "recipe")}`, run.trained_on && `, trained on ${run.trained_on}`,
      overrides.length ? "; settings that differ from the recipe:" : "; all settings are those of the recipe."),
    overrides.length ? list(overrides) : null,
    html("details", {}, html("summary", {}, overrides.length ? "All other settings" : "All settings"), list(others)));
}

/** One evaluation by tools.evaluate. */
function evaluation({ sentences, networks, rows }) {
  return [
    sentences.map((line) => note(line.trim())),
    note(`Feature extractors: ${networks.join(", ")}. ${DATA.legend}`),
    definitions(rows, { class: "settings scores" }),
  ];
}

/** Failure modes that have not ended, and damaged files. */
function warnings(run) {
  const failures = Object.entries(run.failures ?? {}).map(([name, advice]) =>
    html("li", {}, html("strong", {}, name), `. ${advice}.`));
  const notes = run.notes.map((text) => html("li", {}, text));
  return failures.length + notes.length ? html("ul", { class: "warnings" }, failures, notes) : null;
}

/** How tools.compare trained the run; null for other runs. */
function describeSessions({ sessions = [] }) {
  if (!sessions.length) return null;
  return `Trained by tools.compare for ${sessions.at(-1).minutes} minutes`
    + (sessions.length > 1 ? ` in ${sessions.length} sessions` : "")
    + (sessions.some((one) => one.shared) ? "; other work shared the machine." : ".");
}

function details(run) {
  const [latest, ...others] = (run.evaluations ?? []).toReversed();
  const older = others.length ? html("details", {},
    html("summary", {}, `${others.length} more, of other generators or measured in other ways`), others.map(evaluation)) : null;
  const rows = "Each row: a sample, the training image nearest to it, and the held-out image nearest to it.";
  const alt = "Samples beside the images nearest to them";
  return html("div", { class: "details" },
    command(run),
    latest && section("Scores", evaluation(latest), older),
    run.labels && section("Labels", note(`Trained with labels: ${run.labels}.`)),
    run.audit && section("Whom it draws", note("Shares of the data and of samples, with 95% intervals: audit.md has the numbers."),
      html("img", { class: "nearest", loading: "lazy", src: `${run.path}/audit.png?${run.audit}`, alt: "Chart of the shares of each attribute" })),
    run.nearest && section("Nearest training images", note(rows),
      html("img", { class: "nearest", loading: "lazy", src: `${run.path}/nearest.png?${run.nearest}`, alt })),
    run.training_images && section("Training images", note("Some of them, chosen at random."),
      html("img", { class: "nearest", loading: "lazy", src: `${run.path}/faces.png?${run.begun}`, alt: "Training images" })),
    configuration(run));
}

/** A table of the settings and facts in which two runs differ, and of their scores if these are comparable. */
function differences(first, second) {
  const runs = [first, second];
  const settings = Object.keys(DATA.defaults).filter((name) => name !== "run")
    .map((name) => [flagName(name), ...runs.map((run) => formatSetting(setting(run, name)))])
    .filter(([, a, b]) => a !== b);
  const known = runs.map((run) => new Map(facts(run).filter(Boolean)));
  const names = ["iterations", "images seen", "time", "parameters"];
  const rows = [...settings, ...names.map((name) => [name, ...known.map((values) => values.get(name))]),
    ["images per second", ...runs.map((run) => run.seconds && formatCount(run.images / run.seconds))]];
  const scored = first.best && second.best, comparable = scored && first.best.group === second.best.group;
  if (comparable) rows.push([first.best.protocol, ...runs.map((run) => formatScore(run.best.value))]);
  const heads = runs.map((run, i) => html("th", { scope: "col", class: `line${i}` }, run.name));
  const row = ([name, ...cells]) =>
    html("tr", {}, html("th", { scope: "row" }, name), cells.map((cell) => html("td", {}, cell || UNKNOWN)));
  return section("Differences", html("div", { class: "scrollable" }, html("table", {},
    html("thead", {}, html("tr", {}, html("td"), heads)), html("tbody", {}, rows.map(row)))),
    scored && !comparable && note("The best scores were measured in different ways, so they are not compared: ",
      `${first.best.protocol}; ${second.best.protocol}.`));
}
