// Runs the script of an exported web demo in Node.js, with as much of a browser as it needs, and prints what it does.
//
// node page.mjs FOLDER '[{"Smiling": 40, "hair": 1}, ...]' SEED: first nothing is set, then these controls, a step each.
// Prints a JSON list with {names, labels, pixels, file} after each.

import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [path, steps, seed] = process.argv.slice(2), folder = pathToFileURL(`${path}/`);
const elements = new Map(), files = [];

class Element {
  style = {};
  dataset = {};
  children = [];
  append(...children) { this.children.push(...children); }
  setAttribute() {}
  getContext() { return { putImageData() {}, drawImage() {} }; }
  toBlob(callback) { callback({}); }
  click() { files.push(this.download); }
}

const find = (id) => elements.get(id) ?? elements.set(id, new Element()).get(id);
globalThis.window = globalThis;
globalThis.document = { getElementById: find, querySelectorAll: () => [], createElement: () => new Element() };
globalThis.Option = class { constructor(text) { this.text = text; } };
globalThis.ImageData = class {};
globalThis.Blob = class { constructor([part]) { this.part = part; } };
URL.createObjectURL = ({ part }) => part;
URL.revokeObjectURL = () => {};
globalThis.fetch = async (name) => {
  const url = new URL(name, folder), content = await readFile(url);
  return { ok: true, json: () => JSON.parse(content), blob: () => url.href, arrayBuffer: () => new Uint8Array(content).buffer };
};

await import(new URL("demo.js", folder));
await demo.ready;
await demo.setSeed(Number(seed));
const rows = find("labels").children.map(({ children: [text, control] }) => [text.textContent, control]);
const controls = Object.fromEntries(rows), found = [];
for (const step of [{}, ...JSON.parse(steps)]) {
  for (const [name, value] of Object.entries(step)) {
    controls[name][controls[name].type === "range" ? "value" : "selectedIndex"] = value;
    controls[name].oninput();
  }
  await demo.waitUntilIdle();
  find("save").onclick();
  const pixels = Array.from(await demo.generate(demo.noiseOf(Number(seed))));
  found.push({ names: rows.map(([name]) => name), labels: demo.state.labels && Array.from(demo.state.labels), pixels, file: files.at(-1) });
}
console.log(JSON.stringify(found));
process.exit(0);
