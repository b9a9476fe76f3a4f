/* The three views, by address: all runs as cards, one run (#run=A), and the comparison of two (#run=A&with=B). */
const MAIN = document.getElementById("main");

const totalWeights = (run) => (countWeights(run) ?? [0]).reduce((a, b) => a + b);
const ORDERS = {
  newest: (a, b) => b.modified - a.modified,
  name: (a, b) => a.name.localeCompare(b.name, "en", { numeric: true }),
  "best score": (a, b) => a.best.value - b.best.value,
  "images seen": (a, b) => b.images - a.images,
  time: (a, b) => (b.seconds ?? 0) - (a.seconds ?? 0),
  iterations: (a, b) => b.iterations - a.iterations,
  "image size": (a, b) => b.image_size - a.image_size,
  parameters: (a, b) => totalWeights(b) - totalWeights(a),
};

const state = { view: null, selected: [], scroll: 0 };

function makeCard(run) {
  const last = run.grids.at(-1), done = progress(run);
  const change = () => select(run, box.checked);
  const box = html("input", { type: "checkbox", change, "aria-label": `Compare ${run.name}` });
  const tags = [
    done != null && done < 1 && `${Math.floor(100 * done)}% done`,
    run.evaluations?.length && "evaluated",
    run.sessions?.length && "comparison",
    ...Object.keys(run.failures ?? {}),
    run.notes.length && "damaged files",
  ].filter(Boolean);
  const element = html("li", { class: "card" },
    html("div", { class: "thumbnail" }, last == null ? html("span", {}, "no grid yet")
      : html("img", { loading: "lazy", decoding: "async", alt: "", src: gridPath(run, last) })),
    html("div", { class: "text" },
      html("h2", {}, html("a", { href: link(run) }, run.name)),
      html("p", { class: "subtitle" }, [setting(run, "recipe"), formatSize(run), dataName(run)].join(" · ")),
      definitions(facts(run, true)),
      tags.length ? html("p", { class: "tags" }, tags.map((tag) => html("span", {}, tag))) : null,
      html("label", { class: "compare-box" }, box, "compare")));
  const settings = ["recipe", "data", "generator", "noise"].map((name) => setting(run, name));
  return { run, element, box, words: [run.name, ...settings, formatSize(run), ...tags].join(" ").toLowerCase() };
}

/** Selects a run for comparison, or removes it; a third one replaces the first. */
function select(run, selected) {
  state.selected = state.selected.filter((one) => one !== run);
  if (selected) state.selected = [...state.selected, run].slice(-2);
  for (const { run: one, box } of gallery.cards) box.checked = state.selected.includes(one);
  const [first, second] = state.selected;
  gallery.bar.hidden = !first;
  gallery.bar.replaceChildren();
  if (second) {
    update(gallery.bar, {}, [html("span", {}, first.name, html("em", {}, " and "), second.name),
      html("a", { class: "button", href: link(first, second) }, "Compare")]);
  } else if (first) {
    update(gallery.bar, {}, [html("span", {}, first.name, html("em", {}, ": select a second run to compare"))]);
  }
}

/** All runs; built once, so that filter, order and selection stay when a person comes back to it. */
const gallery = {
  build() {
    this.cards = DATA.runs.map(makeCard);
    this.bar = html("div", { class: "compare-bar", hidden: true, role: "region", "aria-label": "Comparison" });
    this.count = html("p", { class: "count", role: "status" });
    this.lists = html("div");
    const change = () => this.arrange();
    this.search = html("input",
      { type: "search", placeholder: "name, recipe, data …", "aria-label": "Filter runs", input: change });
    this.order = html("select", { change }, Object.keys(ORDERS).map((name) => option(name)));
    const recipes = [...new Set(DATA.runs.map((run) => setting(run, "recipe")))].sort();
    this.recipe = html("select", { change }, option("", "all"), recipes.map((name) => option(name)));
    const filters = html("form", { class: "filters", role: "search", submit: (event) => event.preventDefault() },
      this.search, html("label", {}, "recipe ", this.recipe), html("label", {}, "sort by ", this.order));
    const start = html("code", {}, "python train.py");
    const empty = html("p", { class: "message" }, "No runs yet. Start one with ", start, ".");
    const created = new Date(DATA.created * 1000).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });
    this.element = html("div", { class: "gallery" },
      html("header", {}, html("h1", { tabindex: -1 }, "Runs"), this.count, filters),
      DATA.runs.length ? this.lists : empty, this.skipped(),
      html("footer", {}, `Written ${created} from the runs in ${DATA.folder}. Reload to see later results.`), this.bar);
    this.arrange();
  },

  /** The folders that are not on the page, and why. */
  skipped() {
    if (!DATA.skipped.length) return null;
    return html("section", { class: "skipped" }, html("h2", {}, "Skipped"),
      html("ul", {}, DATA.skipped.map(([name, reason]) => html("li", {}, html("strong", {}, name), ` ${reason}`))));
  },

  /** Filters and sorts the cards. Scores that were measured in different ways are in lists of their own. */
  arrange() {
    const words = this.search.value.toLowerCase().split(/\s+/), recipe = this.recipe.value, order = this.order.value;
    const byScore = order === "best score";
    const visible = this.cards.filter((card) =>
      words.every((word) => card.words.includes(word)) && (!recipe || setting(card.run, "recipe") === recipe));
    const groups = new Map();
    for (const card of visible) {
      const group = byScore ? (card.run.best?.group ?? "") : "";
      groups.set(group, [...(groups.get(group) ?? []), card]);
    }
    const largestFirst = [...groups].sort(([a, cards], [b, others]) => !a - !b || others.length - cards.length);
    this.lists.replaceChildren(...largestFirst.flatMap(([group, cards]) => {
      if (group || !byScore) cards.sort((a, b) => ORDERS[order](a.run, b.run));
      const title = byScore && (group ? cards[0].run.best.protocol : "Not scored");
      return [title && html("h2", { class: "protocol" }, title),
        html("ul", { class: "cards" }, cards.map((card) => card.element))].filter(Boolean);
    }));
    const total = this.cards.length, skipped = DATA.skipped.length;
    this.count.textContent = (visible.length < total ? `${formatCount(visible.length)} of ` : "") + formatCount(total)
      + (skipped ? ` (${formatCount(skipped)} skipped, see below)` : "");
  },
};

/** What is below the name of a run. */
function subheading(run) {
  const words = [setting(run, "recipe"), formatSize(run), dataName(run), `updated ${formatAge(run.modified)}`];
  const best = run.best && `Best score at iteration ${formatCount(run.best.iteration)}: ${run.best.protocol}. `;
  return [
    html("p", { class: "subtitle" }, words.join(" · ")),
    definitions(facts(run), { class: "facts" }),
    note(best, describeSessions(run)),
  ];
}

/** The view of one run, or of two. */
function buildView(runs) {
  const [run, other] = runs, viewer = new Viewer(runs);
  const choice = (text, chosen, address) => {
    const others = DATA.runs.filter((one) => one === chosen || !runs.includes(one));
    const change = (event) => (location.hash = address(RUNS.get(event.target.value)));
    return html("label", {}, text, html("select", { change }, !chosen && option("", "…"),
      others.map((one) => option(one.path, one.name, one === chosen))));
  };
  const choices = other
    ? [choice("", run, (one) => link(one, other)), choice("and ", other, (one) => link(run, one))]
    : DATA.runs.length > 1 && choice("compare with ", null, (one) => link(run, one));
  const header = html("header", {},
    html("div", { class: "navigation" },
      html("a", { href: "#" }, "← All runs"), html("p", { class: "run-choice" }, choices || "")),
    html("h1", { tabindex: -1 }, other ? "Two runs" : run.name), other ? null : subheading(run));
  const below = other ? html("div", { class: "details" }, differences(run, other)) : details(run);
  return { viewer, element: html("div", { class: "run" }, header, runs.map(warnings), viewer.element, below) };
}

/** Shows the view that the address names. */
function route() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  const paths = new Set([parameters.get("run"), parameters.get("with")]);
  const runs = [...paths].map((path) => RUNS.get(path)).filter(Boolean);
  const isFirst = !state.view;
  state.view?.viewer?.stop();
  if (state.view === gallery) state.scroll = scrollY;
  state.view = runs.length ? buildView(runs) : gallery;
  MAIN.replaceChildren(state.view.element);
  document.title = runs.length ? `${runs.map((run) => run.name).join(" and ")} – Runs` : "Runs";
  scrollTo(0, runs.length ? 0 : state.scroll);
  if (!isFirst) MAIN.querySelector("h1").focus({ preventScroll: true });
}

const OWN_SPACE = "button, a, summary, select, [type=checkbox]", OWN_ARROWS = "select, input:not([type=checkbox])";

/** Arrows, Home and End move the slider, space starts and stops playback, Escape leaves the run, / searches. */
function handleKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { viewer } = state.view, isInside = (selector) => event.target.closest(selector);
  let action = null;
  if (viewer && event.key === "Escape") action = !isInside("select") && (() => (location.hash = ""));
  else if (viewer && event.key === " ") action = !isInside(OWN_SPACE) && (() => viewer.togglePlayback());
  else if (isInside(OWN_ARROWS)) return;
  else if (viewer) {
    action = {
      ArrowLeft: () => viewer.step(-1),
      ArrowRight: () => viewer.step(1),
      Home: () => viewer.go(0),
      End: () => viewer.go(viewer.stops.length - 1),
    }[event.key];
  } else if (event.key === "/") action = () => gallery.search.focus();
  if (!action) return;
  action();
  event.preventDefault();
}

gallery.build();
addEventListener("hashchange", route);
addEventListener("keydown", handleKey);
route();
