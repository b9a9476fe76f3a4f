/* The text of a run's page: facts, command, scores, settings, and the differences of two runs. */

/** The facts that a card and the head of a run show. */
function facts(run, brief) {
  const networks = weights(run);
  return [
    ["iterations", whole(run.iterations)],
    ["images seen", whole(run.images)],
    ["time", run.seconds == null ? null : clock(run.seconds)],
    run.best && [run.best.name, few(run.best.value)],
    ["parameters", networks && networks.map(brief ? short : whole).join(" + ")],
  ];
}

const sizes = (run) => `${run.size} × ${run.size}`;
const shortData = (run) => String(setting(run, "data")).replace(/[\\/]+$/, "").split(/[\\/]/).at(-1) || "data";
const section = (title, ...content) => make("section", {}, make("h2", {}, title), content);
const flagName = (name) => name.replaceAll("_", "-");
const WORDS = new Map([[true, "yes"], [false, "no"], ["", "–"]]);
const value = (one) => WORDS.get(one) ?? (Array.isArray(one) ? one.join(", ") : String(one));

/** A command that can be copied. */
function command(run) {
  const [first, ...flags] = run.command.split(/ (?=--)/); // each stays on one line if it can
  const code = make("code", {}, first, flags.map((flag) => [" ", make("span", {}, flag)]));
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(run.command);
      announce("Copied");
    } catch {
      getSelection().selectAllChildren(code); // where the browser does not let us, one key is left to press
      announce("Selected: press Ctrl-C to copy");
    }
  };
  return section("Command", make("div", { class: "command" },
    make("pre", { tabindex: 0, role: "region", "aria-label": "The run's command line" }, code),
    make("button", { type: "button", click: copy }, "Copy")));
}

/** All settings, those that differ from the recipe first. */
function configuration(run) {
  const { changed } = run, rest = Object.keys(DATA.defaults).filter((name) => !changed.includes(name));
  const list = (names) => terms(names.map((name) => [flagName(name), value(setting(run, name))]), { class: "settings" });
  return section("Configuration",
    make("p", { class: "note" }, `Recipe ${setting(run, "recipe")}`, run.faces && `, trained on ${run.faces}`,
      changed.length ? "; other than the recipe:" : "; all as the recipe has it."),
    changed.length ? list(changed) : null,
    make("details", {}, make("summary", {}, changed.length ? "All other settings" : "All settings"), list(rest)));
}

/** An evaluation by tools.evaluate. */
function evaluation(one) {
  return [
    one.sentences.map((line) => make("p", { class: "note" }, line.trim())),
    make("p", { class: "note" }, `Networks: ${one.networks.join(", ")}. ${DATA.legend}`),
    terms(one.rows.map(([name, number]) => [name, number]), { class: "settings scores" }),
  ];
}

/** Failure modes, and files that could not be read. */
function warnings(run) {
  const failures = Object.entries(run.failures ?? {}).map(([name, advice]) =>
    make("li", {}, make("strong", {}, name), `. ${advice}.`));
  const notes = run.notes.map((note) => make("li", {}, note));
  return failures.length + notes.length ? make("ul", { class: "warnings" }, failures, notes) : null;
}

/** The training sessions of a run that was trained for a comparison. */
function sessions(run) {
  const had = run.sessions ?? [];
  if (!had.length) return null;
  const shared = had.filter((one) => one.shared).length;
  return `Trained by tools.compare, ${had.at(-1).minutes} minutes${had.length > 1 ? ` in ${had.length} sessions` : ""}`
    + (shared ? ", beside other work on the machine." : ".");
}

function details(run) {
  const [latest, ...others] = (run.evaluations ?? []).toReversed();
  const more = others.length && make("details", {},
    make("summary", {}, `${others.length} more, measured differently`), others.map(evaluation));
  const rows = "In each row: a sample, the training image nearest to it, and the nearest of the held-out images.";
  const alt = "Samples beside the faces nearest to them";
  return make("div", { class: "details" },
    command(run),
    latest && section("Scores", evaluation(latest), more || null),
    run.nearest && section("Closest training images", make("p", { class: "note" }, rows),
      make("img", { class: "nearest", loading: "lazy", src: `${run.path}/nearest.png`, alt })),
    configuration(run));
}

/** The settings and facts in which two runs differ, and their scores if these are comparable. */
function differences(one, other) {
  const both = [one, other], settings = Object.keys(DATA.defaults).filter((name) => name !== "run")
    .map((name) => [flagName(name), ...both.map((run) => value(setting(run, name)))]).filter(([, a, b]) => a !== b);
  const known = both.map((run) => new Map(facts(run).filter(Boolean)));
  const names = ["iterations", "images seen", "time", "parameters"];
  const rows = [...settings, ...names.map((name) => [name, ...known.map((found) => found.get(name))]),
    ["images a second", ...both.map((run) => run.seconds && whole(run.images / run.seconds))]];
  const scored = one.best && other.best, comparable = scored && one.best.group === other.best.group;
  if (comparable) rows.push([one.best.measured, few(one.best.value), few(other.best.value)]);
  const heads = both.map((run, i) => make("th", { scope: "col", class: `line${i}` }, run.name));
  const row = ([name, ...cells]) =>
    make("tr", {}, make("th", { scope: "row" }, name), cells.map((cell) => make("td", {}, cell || "–")));
  const unlike = `Their best scores were measured differently (${one.best?.measured}; ${other.best?.measured}), so they`
    + " are not shown side by side.";
  return section("Differences", make("div", { class: "wide" }, make("table", {},
    make("thead", {}, make("tr", {}, make("td"), heads)), make("tbody", {}, rows.map(row)))),
    scored && !comparable && make("p", { class: "note" }, unlike));
}
