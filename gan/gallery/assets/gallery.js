/* The cards, and which of the three views the address asks for: all runs, #run=A, or #run=A&with=B. */
const MAIN = document.getElementById("main");
const RUNS = new Map(DATA.runs.map((run) => [run.path, run]));

const total = (run) => (weights(run) ?? [0, 0]).reduce((one, other) => one + other);
const SORTS = {
  "newest first": (one, other) => other.written - one.written,
  name: (one, other) => one.name.localeCompare(other.name, "en", { numeric: true }),
  "best score": (one, other) => one.best.value - other.best.value,
  "images seen": (one, other) => other.images - one.images,
  time: (one, other) => (other.seconds ?? 0) - (one.seconds ?? 0),
  iterations: (one, other) => other.iterations - one.iterations,
  size: (one, other) => other.size - one.size,
  parameters: (one, other) => total(other) - total(one),
};

const state = { view: null, chosen: [], scroll: 0 };

function card(run) {
  const last = run.grids.at(-1), done = share(run);
  const box = make("input", { type: "checkbox", change: () => choose(run, box.checked), "aria-label": `Compare ${run.name}` });
  const remarks = [
    done != null && done < 1 && `${Math.floor(100 * done)}% of its length`,
    run.evaluations?.length && "evaluated",
    run.sessions?.length && "comparison",
    ...Object.keys(run.failures ?? {}),
    run.notes.length && "partly unreadable",
  ].filter(Boolean);
  const element = make("li", { class: "card" },
    make("div", { class: "thumb" }, last == null ? make("span", {}, "no picture yet")
      : make("img", { loading: "lazy", decoding: "async", alt: "", src: picture(run, last) })),
    make("div", { class: "text" },
      make("h2", {}, make("a", { href: link(run) }, run.name)),
      make("p", { class: "sub" }, [setting(run, "recipe"), sizes(run), shortData(run)].join(" · ")),
      terms(facts(run, true)),
      remarks.length ? make("p", { class: "remarks" }, remarks.map((remark) => make("span", {}, remark))) : null,
      make("label", { class: "choice" }, box, "compare")));
  const words = [run.name, ...["recipe", "data", "generator", "noise"].map((name) => setting(run, name)), sizes(run), ...remarks];
  return { run, element, box, words: words.join(" ").toLowerCase() };
}

/** Marks a run for comparison; a third one takes the place of the first. */
function choose(run, wanted) {
  state.chosen = state.chosen.filter((one) => one !== run);
  if (wanted) state.chosen = [...state.chosen, run].slice(-2);
  for (const { run: other, box } of gallery.cards) box.checked = state.chosen.includes(other);
  const [one, other] = state.chosen;
  gallery.bar.hidden = !one;
  gallery.bar.replaceChildren();
  if (other) {
    fill(gallery.bar, {}, [make("span", {}, one.name, make("em", {}, " and "), other.name),
      make("a", { class: "button", href: link(one, other) }, "Compare")]);
  } else if (one) fill(gallery.bar, {}, [make("span", {}, one.name, make("em", {}, ", and one more to compare it with"))]);
}

/** All runs, made once. */
const gallery = {
  make() {
    this.cards = DATA.runs.map(card);
    this.bar = make("div", { class: "bar", hidden: true, role: "region", "aria-label": "Comparison" });
    this.count = make("p", { class: "count", role: "status" });
    this.lists = make("div");
    const order = () => this.order();
    this.search = make("input",
      { type: "search", placeholder: "name, recipe, data …", "aria-label": "Filter the runs", input: order });
    this.sort = make("select", { change: order }, Object.keys(SORTS).map((name) => make("option", {}, name)));
    const recipes = [...new Set(DATA.runs.map((run) => setting(run, "recipe")))].sort();
    this.recipe = make("select", { change: order }, make("option", { value: "" }, "all"),
      recipes.map((name) => make("option", { value: name }, name)));
    const tools = make("form", { class: "tools", role: "search", submit: (event) => event.preventDefault() },
      this.search, make("label", {}, "recipe ", this.recipe), make("label", {}, "sorted by ", this.sort));
    const none = ["No runs yet. The first one begins with ", make("code", {}, "python train.py"), "."];
    const written = new Date(DATA.written * 1000).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });
    this.element = make("div", { class: "gallery" },
      make("header", {}, make("h1", { tabindex: -1 }, "Runs"), this.count, tools),
      DATA.runs.length ? this.lists : make("p", { class: "lone" }, none), this.left(),
      make("footer", {}, `Written ${written}, for the runs in ${DATA.folder}. A reload shows what is new.`), this.bar);
    this.order();
  },

  /** What is not on the page, and why. */
  left() {
    if (!DATA.skipped.length) return null;
    return make("section", { class: "left", id: "left" }, make("h2", {}, "Left out"),
      make("ul", {}, DATA.skipped.map(([name, reason]) => make("li", {}, make("strong", {}, name), ` ${reason}`))));
  },

  /** Filters and sorts. Scores that were measured differently are not sorted into one list. */
  order() {
    const words = this.search.value.toLowerCase().split(/\s+/), recipe = this.recipe.value, by = this.sort.value;
    const shown = this.cards.filter((one) =>
      words.every((word) => one.words.includes(word)) && (!recipe || setting(one.run, "recipe") === recipe));
    const groups = new Map();
    for (const one of shown) {
      const group = by === "best score" ? (one.run.best?.group ?? "") : "";
      groups.set(group, [...(groups.get(group) ?? []), one]);
    }
    const order = [...groups].sort(([one, cards], [other, more]) => !one - !other || more.length - cards.length);
    this.lists.replaceChildren(...order.flatMap(([group, cards]) => {
      if (group || by !== "best score") cards.sort((one, other) => SORTS[by](one.run, other.run));
      const title = by === "best score" && (group ? cards[0].run.best.measured : "Not scored");
      return [title && make("h2", { class: "measured" }, title),
        make("ul", { class: "cards" }, cards.map((one) => one.element))].filter(Boolean);
    }));
    const all = this.cards.length, left = DATA.skipped.length;
    this.count.textContent = (shown.length < all ? `${whole(shown.length)} of ${whole(all)}` : whole(all))
      + (left ? `, and ${whole(left)} left out (below)` : "");
  },
};

/** What is shown below the name of a run. */
function heading(run) {
  const words = [setting(run, "recipe"), sizes(run), shortData(run), `written ${ago(run.written)}`];
  return [
    make("p", { class: "sub" }, words.join(" · ")),
    terms(facts(run), { class: "head" }),
    make("p", { class: "note" },
      run.best && `Best score at iteration ${whole(run.best.iteration)}: ${run.best.measured}. `, sessions(run)),
  ];
}

/** One run, or two. */
function open(runs) {
  const [run, other] = runs, viewer = new Viewer(runs);
  const choice = (label, chosen, to) => {
    const rest = DATA.runs.filter((one) => one === chosen || !runs.includes(one));
    const change = (event) => (location.hash = to(RUNS.get(event.target.value)));
    return make("label", {}, label, make("select", { change }, !chosen && make("option", { value: "" }, "…"),
      rest.map((one) => make("option", { value: one.path, selected: one === chosen }, one.name))));
  };
  const pick = other
    ? [choice("", run, (one) => link(one, other)), choice("and ", other, (one) => link(run, one))]
    : DATA.runs.length > 1 && choice("compare with ", null, (one) => link(run, one));
  const head = make("header", {},
    make("div", { class: "way" }, make("a", { href: "#" }, "← All runs"), make("p", { class: "pick" }, pick || "")),
    make("h1", { tabindex: -1 }, other ? "Two runs" : run.name), other ? null : heading(run));
  const below = other ? make("div", { class: "details" }, differences(run, other)) : details(run);
  const element = make("div", { class: "run" }, head, runs.map(warnings), viewer.element, below);
  return { element, viewer };
}

function route() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const runs = [...new Set([asked.get("run"), asked.get("with")])].map((path) => RUNS.get(path)).filter(Boolean);
  state.view?.viewer?.stop();
  if (state.view === gallery) state.scroll = scrollY;
  state.view = runs.length ? open(runs) : gallery;
  MAIN.replaceChildren(state.view.element);
  document.title = runs.length ? `${runs.map((run) => run.name).join(" and ")} – Runs` : "Runs";
  scrollTo(0, runs.length ? 0 : state.scroll);
  if (route.again) MAIN.querySelector("h1").focus({ preventScroll: true });
  route.again = true;
}

/** Arrows, Home and End move the slider from anywhere, the space bar plays, Escape goes back, / seeks among the cards. */
function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { viewer } = state.view, inside = (names) => event.target.closest(names);
  const actions = viewer && {
    ArrowLeft: () => viewer.step(-1),
    ArrowRight: () => viewer.step(1),
    Home: () => viewer.go(0),
    End: () => viewer.go(viewer.stops.length - 1),
  };
  let action = inside("input, select") ? null : viewer ? actions[event.key] : event.key === "/" && (() => gallery.search.focus());
  if (viewer && event.key === "Escape" && !inside("select")) action = () => (location.hash = "");
  if (viewer && event.key === " " && !inside("button, a, summary, select")) action = () => viewer.toggle();
  if (!action) return;
  action();
  event.preventDefault();
}

gallery.make();
addEventListener("hashchange", route);
addEventListener("keydown", key);
route();
