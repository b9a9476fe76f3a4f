// Web demo: generates faces in the browser with an exported generator and ONNX Runtime Web. demo.json describes it.

import { interpolate, sampleNoise } from "./noise.js";

const $ = (id) => document.getElementById(id);
const RUNTIME = "ort.wasm.bundle.min.mjs", WASM = "ort-wasm-simd-threaded.wasm";
const SEEDS = 2 ** 32;

// The four corners' seeds, the position between them from (0, 0) to (1, 1), the factor of the noise, and the labels,
// which are null for a generator without labels.
const state = { seeds: [0, 1, 2, 3], x: 0, y: 0, truncation: 1, playing: false, labels: null };
let about, ort, session, distribution, count, stale = false, busy = false;

async function fetchFile(url, integrity) {
  const response = await fetch(url, integrity ? { integrity } : {});
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  return response;
}

// While the generator loads, no control can be used, and screen readers announce the status.
const disableControls = (disabled) => document.querySelectorAll("section").forEach((section) => (section.inert = disabled));

// The runtime is checked by its hash, then run from memory, so that it does not matter where it comes from.
async function start() {
  disableControls(true);
  $("status").textContent = "Loading …";
  about = await (await fetchFile("demo.json")).json();
  distribution = about.noise.distribution;
  count = about.noise.shape.reduce((a, b) => a * b, 1);
  const code = await (await fetchFile(about.runtime + RUNTIME, about.hashes[RUNTIME])).blob();
  const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  ort = await import(url);
  URL.revokeObjectURL(url);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = await (await fetchFile(about.runtime + WASM, about.hashes[WASM])).arrayBuffer();
  session = await ort.InferenceSession.create(await (await fetchFile(about.model)).arrayBuffer());
  if (about.labels) showLabels(about.labels);
  const iterations = about.iteration?.toLocaleString("en") ?? "an unknown number of";
  $("about").textContent = `None of these people exist: ${about.size} × ${about.size} pixels, generated on this device by recipe “${about.recipe}” after ${iterations} iterations.`;
  await setSeed(randomSeed());
  $("status").textContent = "";
  disableControls(false);
}

const randomSeed = () => Math.floor(Math.random() * SEEDS);

// A slider for each attribute that is yes or no, and a menu for each that has values, as columns of the labels.
function showLabels({ attributes, start }) {
  state.labels = Float32Array.from(start);
  let column = 0;
  for (const { name, values } of attributes) {
    const first = column, label = document.createElement("label"), text = document.createElement("span");
    const control = document.createElement(values.length ? "select" : "input");
    text.textContent = name;
    control.dataset.label = name;
    label.className = "slider";
    if (values.length) {
      for (const value of values) control.append(new Option(value));
      control.selectedIndex = values.findIndex((_, i) => start[first + i] === 1);
    } else {
      Object.assign(control, { type: "range", min: 0, max: 100, step: 1, value: 100 * start[first] });
    }
    control.oninput = () => {
      if (values.length) values.forEach((_, i) => (state.labels[first + i] = i === control.selectedIndex ? 1 : 0));
      else state.labels[first] = control.value / 100;
      refresh();
    };
    control.onchange = refreshCorners;
    label.append(text, control);
    $("labels").append(label);
    column += values.length || 1;
  }
  $("labels").hidden = false;
}

// All labels, for the name of a file: "Smiling=0.5,hair=bob"; "" without labels.
function describeLabels() {
  let column = 0;
  return (about.labels?.attributes ?? []).map(({ name, values }) => {
    const part = state.labels.slice(column, (column += values.length || 1));
    return values.length ? `${name}=${values[part.indexOf(1)]}` : `${name}=${Math.round(100 * part[0]) / 100}`;
  }).join();
}

// Noise -> RGBA pixels, with the present labels. Calls are queued, because a session must not be run again while it runs.
let queue = Promise.resolve();
function generate(noise) {
  const labels = state.labels && Float32Array.from(state.labels);
  const pixels = queue.then(() => runModel(noise, labels));
  queue = pixels.catch(() => {});
  return pixels;
}

async function runModel(noise, labels) {
  const inputs = { [session.inputNames[0]]: new ort.Tensor("float32", noise, [1, ...about.noise.shape]) };
  if (labels) inputs.labels = new ort.Tensor("float32", labels, [1, labels.length]);
  const outputs = await session.run(inputs);
  const { data } = outputs[session.outputNames[0]];
  const pixels = new Uint8ClampedArray(about.size ** 2 * 4).fill(255);
  for (let i = 0; i < about.size ** 2; i++)
    for (let c = 0; c < 3; c++) pixels[4 * i + c] = Math.round((data[3 * i + c] + 1) * 127.5);
  return pixels;
}

function paint(canvas, pixels) {
  canvas.width = canvas.height = about.size;
  canvas.getContext("2d").putImageData(new ImageData(pixels, about.size), 0, 0);
}

// Enlarged here, smoothly or in squares, and saved so: the browser's own enlargement is too coarse for so few pixels.
function paintFace(pixels) {
  const small = document.createElement("canvas"), canvas = $("face"), context = canvas.getContext("2d");
  paint(small, pixels);
  canvas.width = canvas.height = about.size * Math.ceil(512 / about.size);
  context.imageSmoothingEnabled = $("smooth").checked;
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}

const noiseOf = (seed) => sampleNoise(seed, count, distribution).map((z) => z * state.truncation);

function currentNoise() {
  const [a, b, c, d] = state.seeds.map(noiseOf);
  const top = interpolate(a, b, state.x, distribution), bottom = interpolate(c, d, state.x, distribution);
  return interpolate(top, bottom, state.y, distribution);
}

// Generates the current face. Changes in the meantime are combined into one more face.
async function refresh() {
  stale = true;
  if (busy || !session) return;
  busy = true;
  try {
    while (stale) {
      stale = false;
      paintFace(await generate(currentNoise()));
    }
  } finally {
    busy = false;
  }
}

async function refreshCorners() {
  for (const button of document.querySelectorAll(".corner"))
    paint(button.firstElementChild, await generate(noiseOf(state.seeds[button.dataset.corner])));
}

// The top left corner has this seed, the others the next three.
async function setSeed(seed) {
  state.seeds = [0, 1, 2, 3].map((i) => (seed + i) % SEEDS);
  move(0, 0);
  $("seed").value = seed;
  await refreshCorners();
}

async function waitUntilIdle() {
  await refresh();
  while (busy) await new Promise((resolve) => setTimeout(resolve, 5));
}

function move(x, y) {
  [state.x, state.y] = [x, y].map((v) => Math.min(1, Math.max(0, v)));
  $("dot").style.left = `${100 * state.x}%`;
  $("dot").style.top = `${100 * state.y}%`;
  $("pad").setAttribute("aria-valuenow", Math.round(100 * state.x));
  $("pad").setAttribute("aria-valuetext", `${Math.round(100 * state.x)}% to the right, ${Math.round(100 * state.y)}% down`);
  $("morph").value = Math.round(100 * state.x);
  return refresh();
}

// The file is named by the seed of a corner, or by all four between them, and by labels, as far as names may be long.
function save() {
  const atCorner = [state.x, state.y].every(Number.isInteger);
  const seed = atCorner ? state.seeds[state.x + 2 * state.y] : `mix-${state.seeds.join("-")}`;
  const labels = describeLabels().replace(/[\\/:*?"<>|\s]/g, "_").slice(0, 150);
  const name = labels ? `${seed}-${labels}` : seed;
  $("face").toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `face-${name}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}

// Moves to and fro between left and right, three seconds each way.
function animate(now, started = now) {
  if (!state.playing) return;
  const phase = ((now - started) / 3000) % 2;
  const fraction = phase < 1 ? phase : 2 - phase;
  move(fraction * fraction * (3 - 2 * fraction), state.y);
  requestAnimationFrame((later) => animate(later, started));
}

function togglePlaying() {
  state.playing = !state.playing;
  $("play").setAttribute("aria-pressed", state.playing);
  $("play").textContent = state.playing ? "Stop" : "Play";
  if (state.playing) requestAnimationFrame((now) => animate(now, now - 3000 * state.x));
}

function moveToPointer(event) {
  const box = $("pad").getBoundingClientRect();
  move((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
}

const ARROWS = { ArrowLeft: [-0.05, 0], ArrowRight: [0.05, 0], ArrowUp: [0, -0.05], ArrowDown: [0, 0.05] };

$("new").onclick = () => setSeed(randomSeed());
$("seed").onchange = (event) => setSeed(Math.min(SEEDS - 1, Math.max(0, Math.floor(Number(event.target.value) || 0))));
$("save").onclick = save;
$("play").onclick = togglePlaying;
$("smooth").onchange = refresh;
$("morph").oninput = (event) => move(event.target.value / 100, state.y);
$("truncation").oninput = async (event) => {
  state.truncation = event.target.value / 100;
  await refresh();
};
$("truncation").onchange = refreshCorners;
$("pad").onpointerdown = (event) => {
  $("pad").setPointerCapture(event.pointerId);
  moveToPointer(event);
};
$("pad").onpointermove = (event) => event.buttons && moveToPointer(event);
$("pad").onkeydown = (event) => {
  const step = ARROWS[event.key];
  if (!step) return;
  event.preventDefault();
  move(state.x + step[0], state.y + step[1]);
};
for (const button of document.querySelectorAll(".corner"))
  button.onclick = async () => {
    $("seed").value = state.seeds[button.dataset.corner] = randomSeed();
    refresh();
    await refreshCorners();
  };

// An interface for pages of your own, and for tests.
window.demo = { state, generate, setSeed, move, noiseOf, waitUntilIdle, ready: start() };
window.demo.ready.catch((error) => ($("status").textContent = `The demo could not start: ${error.message}`));
