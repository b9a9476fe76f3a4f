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
    run.evaluated?.length && "evaluated",
    run.sittings?.length && "comparison",
    ...Object.keys(run.ailing ?? {}),
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
  const words = [run.name, setting(run, "recipe"), setting(run, "data"), setting(run, "generator"), sizes(run), ...remarks].join(" ").toLowerCase();
  return { run, element, box, words };
}

/** Marks a run for comparison; a third one takes the place of the first. */
function choose(run, wanted) {
  state.chosen = state.chosen.filter((one) => one !== run);
  if (wanted) state.chosen = [...state.chosen, run].slice(-2);
  for (const { run: other, box } of gallery.cards) box.checked = state.chosen.includes(other);
  const [one, other] = state.chosen;
  gallery.bar.hidden = !one;
  gallery.bar.replaceChildren(...(other
    ? [make("span", {}, one.name, make("em", {}, " and "), other.name), make("a", { class: "button", href: link(one, other) }, "Compare")]
    : one ? [make("span", {}, one.name, make("em", {}, ", and one more to compare it with"))] : []));
}

/** All runs, made once. */
const gallery = {
  make() {
    this.cards = DATA.runs.map(card);
    this.bar = make("div", { class: "bar", hidden: true, role: "region", "aria-label": "Comparison" });
    this.count = make("p", { class: "count", role: "status" });
    this.lists = make("div");
    this.search = make("input", { type: "search", placeholder: "name, recipe, data …", "aria-label": "Filter the runs", input: () => this.order() });
    this.sort = make("select", { change: () => this.order() }, Object.keys(SORTS).map((name) => make("option", {}, name)));
    const recipes = [...new Set(DATA.runs.map((run) => String(setting(run, "recipe"))))].sort();
    this.recipe = make("select", { change: () => this.order() }, make("option", { value: "" }, "all"), recipes.map((name) => make("option", { value: name }, name)));
    const tools = make("form", { class: "tools", role: "search", submit: (event) => event.preventDefault() },
      this.search, make("label", {}, "recipe ", this.recipe), make("label", {}, "by ", this.sort));
    this.element = make("div", { class: "gallery" },
      make("header", {}, make("h1", { tabindex: -1 }, "Runs"), this.count, tools),
      DATA.runs.length ? this.lists : make("p", { class: "lone" }, "No runs yet. The first one begins with ", make("code", {}, "python train.py"), "."),
      this.left(), make("footer", {}, `Written ${new Date(DATA.written * 1000).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" })}, for the runs in ${DATA.folder}. A reload shows what is new.`), this.bar);
    this.order();
  },

  /** What is not on the page, and why. */
  left() {
    if (!DATA.leftOut.length) return null;
    return make("section", { class: "left", id: "left" }, make("h2", {}, "Left out"),
      make("ul", {}, DATA.leftOut.map(([name, reason]) => make("li", {}, make("strong", {}, name), ` ${reason}`))));
  },

  /** Filters and sorts. Scores that were measured differently are not sorted into one list. */
  order() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean), recipe = this.recipe.value, by = this.sort.value;
    const shown = this.cards.filter((one) => words.every((word) => one.words.includes(word)) && (!recipe || setting(one.run, "recipe") === recipe));
    const groups = new Map();
    for (const one of shown) {
      const title = by === "best score" ? one.run.best?.measured ?? "not scored" : "";
      groups.set(title, [...(groups.get(title) ?? []), one]);
    }
    const titles = [...groups.keys()].sort((one, other) => (one === "not scored") - (other === "not scored") || groups.get(other).length - groups.get(one).length);
    this.lists.replaceChildren(...titles.flatMap((title) => {
      const cards = groups.get(title);
      if (title !== "not scored") cards.sort((one, other) => SORTS[by](one.run, other.run));
      return [title && make("h2", { class: "measured" }, title), make("ul", { class: "cards" }, cards.map((one) => one.element))].filter(Boolean);
    }));
    const all = this.cards.length, left = DATA.leftOut.length;
    this.count.textContent = (shown.length < all ? `${whole(shown.length)} of ${whole(all)}` : whole(all)) + (left ? `, and ${whole(left)} left out (below)` : "");
  },
};

/** One run, or two. */
function open(runs) {
  const [run, other] = runs, viewer = new Viewer(runs);
  const choice = (label, chosen, to) => make("label", {}, label, make("select", { change: (event) => (location.hash = to(RUNS.get(event.target.value))) },
    !chosen && make("option", { value: "" }, "…"),
    DATA.runs.filter((one) => one === chosen || !runs.includes(one)).map((one) => make("option", { value: one.path, selected: one === chosen }, one.name))));
  const head = make("header", {},
    make("p", { class: "back" }, make("a", { href: "#" }, "← All runs")),
    make("h1", { tabindex: -1 }, other ? "Two runs" : run.name),
    other
      ? make("p", { class: "pick" }, choice("", run, (one) => link(one, other)), choice("and ", other, (one) => link(run, one)))
      : [make("p", { class: "sub" }, [setting(run, "recipe"), sizes(run), shortData(run), `written ${ago(run.written)}`].join(" · ")), terms(facts(run), { class: "head" }),
         run.best && make("p", { class: "note" }, `Best score at iteration ${whole(run.best.iteration)}: ${run.best.measured}. `, sittings(run)),
         DATA.runs.length > 1 && make("p", { class: "pick" }, choice("compare with ", null, (one) => link(run, one)))]);
  const element = make("div", { class: "run" }, head, runs.map(warnings), viewer.element, other ? make("div", { class: "details" }, differences(run, other)) : details(run));
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

function key(event) {
  const typing = event.target.closest("input, select, textarea, [contenteditable]");
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const viewer = state.view.viewer;
  if (!viewer) {
    if (event.key === "/" && !typing) gallery.search.focus(), event.preventDefault();
    return;
  }
  const moves = { ArrowLeft: () => viewer.step(-1), ArrowRight: () => viewer.step(1), Home: () => viewer.go(0), End: () => viewer.go(viewer.stops.length - 1) };
  if (event.key === "Escape" && !event.target.closest("select")) location.hash = "";
  else if (event.key === " " && (!event.target.closest("button, a, summary, select, pre") || event.target === viewer.slider)) viewer.toggle(), event.preventDefault();
  else if (!typing && moves[event.key]) moves[event.key](), event.preventDefault();
}

gallery.make();
addEventListener("hashchange", route);
addEventListener("keydown", key);
route();
