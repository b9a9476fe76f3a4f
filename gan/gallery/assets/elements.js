/* Building elements. Data only ever becomes a text node or an attribute, so that no name of a run becomes markup. */

/** Creates an HTML element, or one of SVG. See `update` for the arguments. */
const html = (tag, attributes, ...children) => update(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) =>
  update(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

/** Sets attributes, where a function is an event listener, and appends children; null and false are left out. */
function update(element, attributes, children = []) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

/** A list of terms and their values; pairs without a value are left out. */
const definitions = (pairs, attributes) =>
  html("dl", attributes, pairs.filter((pair) => pair && pair[1] != null).map(([term, value]) =>
    html("div", {}, html("dt", {}, term), html("dd", {}, value))));

const option = (value, text = value, selected = false) => html("option", { value, selected }, text);

/** Replaces an element by its later version, unless they are equal; what is open or has the focus stays so. */
function replace(old, next) {
  const find = (element, selector) => [...element.querySelectorAll(selector)];
  const details = find(next, "details"), focusable = "a, button, input, select, summary, [tabindex]";
  find(old, "details").forEach((one, i) => details[i]?.toggleAttribute("open", one.open));
  if (old.isEqualNode(next)) return old;
  const focused = find(old, focusable).indexOf(document.activeElement);
  old.replaceWith(next);
  find(next, focusable)[focused]?.focus({ preventScroll: true });
  return next;
}

/** Shows a message for a moment; screen readers read it. */
function announce(text) {
  const status = document.getElementById("status");
  status.textContent = text;
  clearTimeout(announce.timer);
  announce.timer = setTimeout(() => (status.textContent = ""), 2500);
}
