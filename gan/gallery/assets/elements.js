/* Elements and numbers. What comes from data is always a text node or an attribute, so that no name becomes markup. */
const DATA = JSON.parse(document.getElementById("runs").textContent);
const REDUCED = matchMedia("(prefers-reduced-motion: reduce)");

const make = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const draw = (tag, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

/** Says something once, to the eye for a moment and to a screen reader. */
function announce(text) {
  const place = document.getElementById("status");
  place.textContent = text;
  clearTimeout(announce.timer);
  announce.timer = setTimeout(() => (place.textContent = ""), 2500);
}

const whole = (value) => (value == null ? "–" : Math.round(value).toLocaleString("en"));

/** 1,234,567 -> 1.23 M: for places where digits would only be noise. */
function short(value) {
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (value >= size) return Number((value / size).toPrecision(3)) + "\u202f" + unit;
  }
  return whole(value);
}

/** A score in few digits, as tools.evaluate prints it. */
function few(value) {
  if (value == null) return "–";
  const size = Math.abs(value);
  if (size >= 1e9) return value.toExponential(2);
  return size >= 100 ? whole(value) : value.toFixed(size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

/** 95 -> 1:35, 4000 -> 1:06:40. */
function clock(seconds) {
  if (seconds == null) return "–";
  const all = Math.round(seconds), two = (value) => String(value).padStart(2, "0");
  const hours = Math.floor(all / 3600), minutes = Math.floor(all / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(all % 60)}` : `${minutes}:${two(all % 60)}`;
}

/** When something was, as seen from when the page was opened. */
function ago(time) {
  const minutes = (Date.now() / 1000 - time) / 60;
  if (minutes < 1.5) return "just now";
  if (minutes < 90) return `${Math.round(minutes)} minutes ago`;
  if (minutes < 36 * 60) return `${Math.round(minutes / 60)} hours ago`;
  return new Date(time * 1000).toLocaleDateString("en", { year: "numeric", month: "short", day: "numeric" });
}

const weights = (run) => {
  const { generator = 0, discriminator = 0 } = run.weights ?? {};
  return generator + discriminator ? [generator, discriminator] : null;
};

const setting = (run, name) => run.settings[name] ?? DATA.defaults[name];
const picture = (run, iteration) => `${run.path}/${String(iteration).padStart(6, "0")}.png`;
const link = (run, other) =>
  "#run=" + encodeURIComponent(run.path) + (other ? "&with=" + encodeURIComponent(other.path) : "");

/** How much of what it was asked for a run has done, from 0 to 1; null where that is not known. */
function share(run) {
  const { iterations, seconds } = run.asked ?? {};
  const done = seconds ? (run.seconds ?? 0) / seconds : iterations ? run.iterations / iterations : null;
  return done == null ? null : done > 0.99 ? 1 : done; // a number of passes is known about
}

/** Terms and what they are, those left out that are null. */
const terms = (pairs, attributes) =>
  make("dl", attributes, pairs.filter((pair) => pair && pair[1] != null).map(([term, value]) =>
    make("div", {}, make("dt", {}, term), make("dd", {}, value))));
