// Noise by number, and ways between noise: the same numbers as gan/noise.py, which says where they come from.

function mixed(x) {
  x ^= x >>> 16;
  x = Math.imul(x, 0x7feb352d);
  x ^= x >>> 15;
  x = Math.imul(x, 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

function chances(seed, count, stream) {
  const start = mixed((mixed(seed >>> 0) + stream) >>> 0);
  return Float64Array.from({ length: count }, (_, i) => (mixed(start ^ mixed(Math.imul(i + 1, 0x9e3779b9) >>> 0)) + 0.5) / 2 ** 32);
}

export function drawn(seed, count, law) {
  const one = chances(seed, count, 1);
  if (law === "uniform") return Float32Array.from(one, (u) => 2 * u - 1);
  const other = chances(seed, count, 2);
  return Float32Array.from(one, (u, i) => Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * other[i]));
}

const length = (z) => Math.sqrt(z.reduce((sum, x) => sum + x * x, 0));

export function between(one, other, share, law) {
  const straight = () => one.map((x, i) => (1 - share) * x + share * other[i]);
  const lengths = [length(one), length(other)];
  if (law === "uniform" || !lengths[0] || !lengths[1]) return straight();
  const cosine = one.reduce((sum, x, i) => sum + (x / lengths[0]) * (other[i] / lengths[1]), 0);
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  if (Math.sin(angle) < 1e-6) return straight();
  const scale = lengths[0] ** (1 - share) * lengths[1] ** share / Math.sin(angle);
  const here = (Math.sin((1 - share) * angle) * scale) / lengths[0];
  const there = (Math.sin(share * angle) * scale) / lengths[1];
  return one.map((x, i) => here * x + there * other[i]);
}
