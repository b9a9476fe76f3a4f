// The face machine: draws faces with an exported generator, in ONNX Runtime Web. machine.json says which.

import { between, drawn } from "./noise.js";

const $ = (id) => document.getElementById(id);
const RUNTIME = "ort.wasm.bundle.min.mjs", WASM = "ort-wasm-simd-threaded.wasm";

const state = { seeds: [0, 1, 2, 3], x: 0, y: 0, truncation: 1, playing: false };
let about, ort, session, law, count, wanted = false, busy = false;

async function fetched(url, integrity) {
  const answer = await fetch(url, integrity ? { integrity } : {});
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${answer.statusText}`);
  return answer;
}

// Nothing can be pressed before there is something to draw with. What the status says is read out meanwhile.
const rest = (still) => document.querySelectorAll("section").forEach((part) => (part.inert = still));

// The runtime is checked by its hash, then run from memory, so that it makes no difference where it came from.
async function start() {
  rest(true);
  $("status").textContent = "Loading …";
  about = await (await fetched("machine.json")).json();
  law = about.noise.law;
  count = about.noise.shape.reduce((a, b) => a * b, 1);
  const code = await (await fetched(about.runtime + RUNTIME, about.hashes[RUNTIME])).blob();
  const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  ort = await import(url);
  URL.revokeObjectURL(url);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = await (await fetched(about.runtime + WASM, about.hashes[WASM])).arrayBuffer();
  session = await ort.InferenceSession.create(await (await fetched(about.model)).arrayBuffer());
  $("about").textContent = `Nobody you see here exists: ${about.size} × ${about.size} pixels, drawn on this device by “${about.recipe}” after ${about.iteration?.toLocaleString("en") ?? "an unknown number of"} iterations.`;
  await fresh(Math.floor(Math.random() * 2 ** 32));
  $("status").textContent = "";
  rest(false);
}

// Noise -> pixels, RGBA. One face after the other: the runtime has one thread, and must not be asked while it works.
let last = Promise.resolve();
function draw(noise) {
  const pixels = last.then(() => run(noise));
  last = pixels.catch(() => {});
  return pixels;
}

async function run(noise) {
  const input = new ort.Tensor("float32", noise, [1, ...about.noise.shape]);
  const made = await session.run({ [session.inputNames[0]]: input });
  const { data } = made[session.outputNames[0]];
  const pixels = new Uint8ClampedArray(about.size ** 2 * 4).fill(255);
  for (let i = 0; i < about.size ** 2; i++)
    for (let c = 0; c < 3; c++) pixels[4 * i + c] = Math.round((data[3 * i + c] + 1) * 127.5);
  return pixels;
}

function paint(canvas, pixels) {
  canvas.width = canvas.height = about.size;
  canvas.getContext("2d").putImageData(new ImageData(pixels, about.size), 0, 0);
}

// Shown large, and saved so: smoothly, as the browser's own enlargement is too coarse for so few pixels, or in squares.
function show(pixels) {
  const small = document.createElement("canvas"), canvas = $("face"), context = canvas.getContext("2d");
  paint(small, pixels);
  canvas.width = canvas.height = about.size * Math.ceil(512 / about.size);
  context.imageSmoothingEnabled = $("smooth").checked;
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}

const ofSeed = (seed) => drawn(seed, count, law).map((z) => z * state.truncation);

function here() {
  const [a, b, c, d] = state.seeds.map(ofSeed);
  return between(between(a, b, state.x, law), between(c, d, state.x, law), state.y, law);
}

// Draws where we are; while a face is being drawn only the last wish is kept.
async function refresh() {
  wanted = true;
  if (busy || !session) return;
  busy = true;
  try {
    while (wanted) {
      wanted = false;
      show(await draw(here()));
    }
  } finally {
    busy = false;
  }
}

async function corners() {
  for (const button of document.querySelectorAll(".corner"))
    paint(button.firstElementChild, await draw(ofSeed(state.seeds[button.dataset.corner])));
}

// The top left face is the one with this number; the others follow it.
async function fresh(seed) {
  state.seeds = [0, 1, 2, 3].map((i) => (seed + i) % 2 ** 32);
  move(0, 0);
  $("number").value = seed;
  await corners();
}

async function settled() {
  await refresh();
  while (busy) await new Promise((done) => setTimeout(done, 5));
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

// A corner is called by its number, a place between them by all four.
function save() {
  const name = [state.x, state.y].every(Number.isInteger) ? state.seeds[state.x + 2 * state.y] : `mix-${state.seeds.join("-")}`;
  $("face").toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `face-${name}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}

// To and fro between the top faces, three seconds each way.
function play(now, begun = now) {
  if (!state.playing) return;
  const phase = ((now - begun) / 3000) % 2;
  const share = phase < 1 ? phase : 2 - phase;
  move(share * share * (3 - 2 * share), state.y);
  requestAnimationFrame((later) => play(later, begun));
}

function toggle() {
  state.playing = !state.playing;
  $("play").setAttribute("aria-pressed", state.playing);
  $("play").textContent = state.playing ? "Stop" : "Play";
  if (state.playing) requestAnimationFrame((now) => play(now, now - 3000 * state.x));
}

function point(event) {
  const box = $("pad").getBoundingClientRect();
  move((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
}

const ARROWS = { ArrowLeft: [-0.05, 0], ArrowRight: [0.05, 0], ArrowUp: [0, -0.05], ArrowDown: [0, 0.05] };

$("new").onclick = () => fresh(Math.floor(Math.random() * 2 ** 32));
$("number").onchange = (event) => fresh(Math.min(2 ** 32 - 1, Math.max(0, Math.floor(Number(event.target.value) || 0))));
$("save").onclick = save;
$("play").onclick = toggle;
$("smooth").onchange = refresh;
$("morph").oninput = (event) => move(event.target.value / 100, state.y);
$("truncation").oninput = async (event) => {
  state.truncation = event.target.value / 100;
  await refresh();
};
$("truncation").onchange = corners;
$("pad").onpointerdown = (event) => {
  $("pad").setPointerCapture(event.pointerId);
  point(event);
};
$("pad").onpointermove = (event) => event.buttons && point(event);
$("pad").onkeydown = (event) => {
  const step = ARROWS[event.key];
  if (!step) return;
  event.preventDefault();
  move(state.x + step[0], state.y + step[1]);
};
for (const button of document.querySelectorAll(".corner"))
  button.onclick = async () => {
    $("number").value = state.seeds[button.dataset.corner] = Math.floor(Math.random() * 2 ** 32);
    refresh();
    await corners();
  };

// For whoever writes a page of their own, and for tests.
window.machine = { state, draw, fresh, move, noise: ofSeed, settled, ready: start() };
window.machine.ready.catch((error) => ($("status").textContent = `The face machine could not start: ${error.message}`));
