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
  const checked = state.selected.includes(run);
  const box = html("input", { type: "checkbox", checked, change, "aria-label": `Compare ${run.name}` });
  const title = html("a", { href: link(run) }, run.name);
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
      html("h2", {}, title),
      html("p", { class: "subtitle" }, [setting(run, "recipe"), formatSize(run), dataName(run)].join(" · ")),
      definitions(facts(run, true)),
      tags.length ? html("p", { class: "tags" }, tags.map((tag) => html("span", {}, tag))) : null,
      html("label", { class: "compare-box" }, box, "compare")));
  const settings = ["recipe", "data", "generator", "noise"].map((name) => setting(run, name));
  return { run, element, title, box, words: [run.name, ...settings, formatSize(run), ...tags].join(" ").toLowerCase() };
}

/** Selects a run for comparison, or removes it; a third one replaces the first. Without a run, shows which are. */
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
  cards: [],

  build() {
    this.bar = html("div", { class: "compare-bar", hidden: true, role: "region", "aria-label": "Comparison" });
    this.count = html("p", { class: "count", role: "status" });
    this.lists = html("div");
    const change = () => this.arrange();
    this.search = html("input",
      { type: "search", placeholder: "name, recipe, data …", "aria-label": "Filter runs", input: change });
    this.order = html("select", { change }, Object.keys(ORDERS).map((name) => option(name)));
    this.recipe = html("select", { change });
    const filters = html("form", { class: "filters", role: "search", submit: (event) => event.preventDefault() },
      this.search, html("label", {}, "recipe ", this.recipe), html("label", {}, "sort by ", this.order));
    const start = html("code", {}, "python train.py");
    this.empty = html("p", { class: "message" }, "No runs yet. Start one with ", start, ".");
    this.skipped = html("section", { class: "skipped" });
    this.element = html("div", { class: "gallery" },
      html("header", {}, html("h1", { tabindex: -1 }, "Runs"), this.count, filters),
      this.empty, this.lists, this.skipped, this.bar);
    this.fill();
  },

  /** Shows the runs of DATA, and the folders that are skipped. The card of a run that did not change stays. */
  fill() {
    const before = this.cards, focused = before.find((card) => card.element.contains(document.activeElement));
    const part = document.activeElement === focused?.box ? "box" : "title";
    this.cards = DATA.runs.map((run) => before.find((card) => card.run === run) ?? makeCard(run));
    this.empty.hidden = this.cards.length > 0;
    const recipe = this.recipe.value, recipes = new Set(DATA.runs.map((run) => setting(run, "recipe")));
    this.recipe.replaceChildren(option("", "all"), ...[...recipes].sort().map((name) => option(name)));
    this.recipe.value = recipes.has(recipe) ? recipe : "";
    this.skipped.hidden = !DATA.skipped.length;
    this.skipped.replaceChildren(html("h2", {}, "Skipped"),
      html("ul", {}, DATA.skipped.map(([name, reason]) => html("li", {}, html("strong", {}, name), ` ${reason}`))));
    this.arrange();
    this.cards.find((card) => card.run.path === focused?.run.path)?.[part].focus({ preventScroll: true });
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

/** What is around the viewer of one run, or of two, and changes while they train. */
function describe(runs) {
  const [run, other] = runs;
  const choice = (text, chosen, address) => {
    const others = DATA.runs.filter((one) => one === chosen || !runs.includes(one));
    const change = (event) => (location.hash = address(RUNS.get(event.target.value)));
    return html("label", {}, text, html("select", { change }, !chosen && option("", "…"),
      others.map((one) => option(one.path, one.name, one === chosen))));
  };
  const choices = other
    ? [choice("", run, (one) => link(one, other)), choice("and ", other, (one) => link(run, one))]
    : DATA.runs.length > 1 && choice("compare with ", null, (one) => link(run, one));
  return [
    html("div", { class: "navigation" },
      html("a", { href: "#" }, "← All runs"), html("p", { class: "run-choice" }, choices || "")),
    html("div", { class: "subheading" }, other ? null : subheading(run)),
    html("div", {}, runs.map(warnings)),
    other ? html("div", { class: "details" }, differences(run, other)) : details(run),
  ];
}

/** The view of one run, or of two; `follow` goes on with later summaries of them. */
function buildView(runs) {
  const viewer = new Viewer(runs), title = html("h1", { tabindex: -1 }, runs.length > 1 ? "Two runs" : runs[0].name);
  let parts = describe(runs);
  const [navigation, summary, failures, below] = parts;
  const follow = (later) => {
    if (later.some((run, i) => run !== viewer.runs[i])) viewer.follow(later);
    parts = describe(later).map((part, i) => replace(parts[i], part));
  };
  const header = html("header", {}, navigation, title, summary);
  return { viewer, follow, element: html("div", { class: "run" }, header, failures, viewer.element, below) };
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

/** Shows later data in the view that there is, which keeps its position, its focus and what a person chose. */
function receive(data) {
  const isSame = (run) => JSON.stringify(run) === JSON.stringify(RUNS.get(run.path));
  const viewed = state.view.viewer?.runs ?? [], { selected } = state;
  DATA = { ...data, runs: data.runs.map((run) => (isSame(run) ? RUNS.get(run.path) : run)) };
  RUNS = new Map(DATA.runs.map((run) => [run.path, run]));
  const find = (runs) => runs.map((run) => RUNS.get(run.path)).filter(Boolean);
  state.selected = find(selected);
  gallery.fill();
  if (state.selected.length < selected.length) select();
  const later = find(viewed);
  if (later.length < viewed.length) route();
  else state.view.follow?.(later);
}

if (parent !== window && location.search.startsWith("?follow=")) {
  handOver();
} else {
  gallery.build();
  addEventListener("hashchange", route);
  addEventListener("keydown", handleKey);
  route();
  startFollowing(receive);
}
