// Noise of a seed, and interpolation: the same numbers as gan/generation/noise.py, which names the sources.

function hashUint32(x) {
  x ^= x >>> 16;
  x = Math.imul(x, 0x7feb352d);
  x ^= x >>> 15;
  x = Math.imul(x, 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

function uniform(seed, count, stream) {
  const start = hashUint32((hashUint32(seed >>> 0) + stream) >>> 0);
  const hashOf = (i) => hashUint32(start ^ hashUint32(Math.imul(i + 1, 0x9e3779b9) >>> 0));
  return Float64Array.from({ length: count }, (_, i) => (hashOf(i) + 0.5) / 2 ** 32);
}

export function sampleNoise(seed, count, distribution) {
  const first = uniform(seed, count, 1);
  if (distribution === "uniform") return Float32Array.from(first, (u) => 2 * u - 1);
  const second = uniform(seed, count, 2);
  return Float32Array.from(first, (u, i) => Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * second[i]));
}

const norm = (z) => Math.sqrt(z.reduce((sum, x) => sum + x * x, 0));
const lerp = (start, end, fraction) => start.map((x, i) => (1 - fraction) * x + fraction * end[i]);

export function interpolate(start, end, fraction, distribution) {
  const lengths = [norm(start), norm(end)];
  if (distribution === "uniform" || !lengths[0] || !lengths[1]) return lerp(start, end, fraction);
  const cosine = start.reduce((sum, x, i) => sum + (x / lengths[0]) * (end[i] / lengths[1]), 0);
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  if (Math.sin(angle) < 1e-6) return lerp(start, end, fraction);
  const scale = lengths[0] ** (1 - fraction) * lengths[1] ** fraction / Math.sin(angle);
  const a = (Math.sin((1 - fraction) * angle) * scale) / lengths[0];
  const b = (Math.sin(fraction * angle) * scale) / lengths[1];
  return start.map((x, i) => a * x + b * end[i]);
}
