/* What there is to read of a run, and of two beside each other. */

/** What a card and a run's head say alike. */
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
const value = (one) => (Array.isArray(one) ? one.join(", ") : one === true ? "yes" : one === false ? "no" : one === "" ? "–" : String(one));

/** A command that can be copied. */
function command(run) {
  const code = make("code", {}, run.command);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(run.command);
      tell("Copied");
    } catch {
      getSelection().selectAllChildren(code); // where the browser does not let us, one key is left to press
      tell("Selected: press Ctrl-C to copy");
    }
  };
  return section("Command", make("div", { class: "command" }, make("pre", { tabindex: 0, "aria-label": "The run's command line" }, code),
    make("button", { type: "button", click: copy }, "Copy")));
}

/** All settings, those that the recipe has otherwise first. */
function configuration(run) {
  const { changed } = run, rest = Object.keys(DATA.defaults).filter((name) => !changed.includes(name));
  const list = (names) => terms(names.map((name) => [flagName(name), value(setting(run, name))]), { class: "settings" });
  return section("Configuration",
    make("p", { class: "note" }, `Recipe ${setting(run, "recipe")}`, run.faces && `, trained on ${run.faces}`,
      changed.length ? "; other than the recipe:" : "; all as the recipe has it."),
    changed.length ? list(changed) : null,
    make("details", {}, make("summary", {}, changed.length ? "All other settings" : "All settings"), list(rest)));
}

/** What tools.evaluate found. */
function evaluation(one) {
  return [
    one.told.map((line) => make("p", { class: "note" }, line.trim())),
    make("p", { class: "note" }, "Networks: ", one.networks.join(", "), ". All of kid, its spread and its floor is × 1000. A floor is what training faces score in place of samples."),
    terms(one.rows.map(([name, number]) => [name, number]), { class: "settings scores" }),
  ];
}

/** What is wrong, or was not read. */
function warnings(run) {
  const ailing = Object.entries(run.ailing ?? {}).map(([name, advice]) => make("li", {}, make("strong", {}, name), `. ${advice}.`));
  const notes = run.notes.map((note) => make("li", {}, note));
  return ailing.length + notes.length ? make("ul", { class: "warnings" }, ailing, notes) : null;
}

/** The sittings of a run that was trained for a comparison. */
function sittings(run) {
  const had = run.sittings ?? [];
  if (!had.length) return null;
  const shared = had.filter((one) => one.shared).length;
  return `Trained by tools.compare, ${had.at(-1).minutes} minutes${had.length > 1 ? ` in ${had.length} sittings` : ""}`
    + (shared ? ", beside other work on the machine." : ".");
}

function details(run) {
  const evaluated = (run.evaluated ?? []).toReversed();
  return make("div", { class: "details" },
    command(run),
    evaluated.length ? section("Scores", evaluation(evaluated[0]),
      evaluated.length > 1 && make("details", {}, make("summary", {}, `${evaluated.length - 1} more, measured otherwise`), evaluated.slice(1).map(evaluation))) : null,
    run.nearest ? section("Closest training faces",
      make("p", { class: "note" }, "In each row: a sample, the training face nearest to it, and the nearest of the faces that never trained."),
      make("img", { class: "nearest", loading: "lazy", src: `${run.path}/nearest.png`, alt: "Samples beside the faces nearest to them" })) : null,
    configuration(run));
}

/** The settings and facts in which two runs differ. */
function differences(one, other) {
  const names = Object.keys(DATA.defaults).filter((name) => name !== "run" && value(setting(one, name)) !== value(setting(other, name)));
  const rows = [
    ...names.map((name) => [flagName(name), value(setting(one, name)), value(setting(other, name))]),
    ...facts(one).map((fact, i) => [fact?.[0], fact?.[1], facts(other)[i]?.[1]]).filter(([name]) => name && !name.startsWith("kid") && !name.startsWith("fid")),
    ["images a second", ...[one, other].map((run) => (run.seconds ? whole(run.images / run.seconds) : "–"))],
  ];
  const scored = one.best && other.best && (one.best.measured === other.best.measured
    ? [[one.best.measured, few(one.best.value), few(other.best.value)]] : []);
  return section("Differences",
    make("div", { class: "wide" }, make("table", {},
      make("thead", {}, make("tr", {}, make("td"), [one, other].map((run, i) => make("th", { scope: "col", class: `line${i}` }, run.name)))),
      make("tbody", {}, [...rows, ...(scored || [])].map(([name, ...both]) =>
        make("tr", {}, make("th", { scope: "row" }, name), both.map((cell) => make("td", {}, cell ?? "–"))))))),
    one.best && other.best && !scored.length ? make("p", { class: "note" }, `Their best scores were measured differently (${one.best.measured}; ${other.best.measured}), so they are not shown side by side.`) : null);
}
