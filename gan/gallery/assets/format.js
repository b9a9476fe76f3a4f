/* Numbers and times as text; what is not known is a dash. */
const UNKNOWN = "–";

/** 1234567 -> "1,234,567". */
const formatCount = (value) => (value == null ? UNKNOWN : Math.round(value).toLocaleString("en"));

/** 1234567 -> "1.23 M", where there is no room for all digits. */
function formatShort(value) {
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (value >= size) return Number((value / size).toPrecision(3)) + "\u202f" + unit;
  }
  return formatCount(value);
}

/** A score in about three digits, as tools.evaluate prints it. */
function formatScore(value) {
  if (value == null) return UNKNOWN;
  const size = Math.abs(value);
  if (size >= 1e9) return value.toExponential(2);
  return size >= 100 ? formatCount(value) : value.toFixed(size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

/** A value on a chart, where small ones matter: 0.00364 -> "0.00364", 0.0000863 -> "8.63e-5". */
function formatValue(value) {
  const size = Math.abs(value ?? 0);
  if (!size || size >= 0.1) return formatScore(value);
  return size < 1e-3 ? Number(value.toPrecision(3)).toExponential() : String(Number(value.toPrecision(3)));
}

/** 95 seconds -> "1:35", 4000 -> "1:06:40". */
function formatDuration(seconds) {
  if (seconds == null) return UNKNOWN;
  const total = Math.round(seconds), twoDigits = (value) => String(value).padStart(2, "0");
  const hours = Math.floor(total / 3600), minutes = Math.floor(total / 60) % 60;
  return hours ? `${hours}:${twoDigits(minutes)}:${twoDigits(total % 60)}` : `${minutes}:${twoDigits(total % 60)}`;
}

/** A time, in seconds since 1970, relative to now; a date if it is not recent. */
function formatAge(time) {
  const minutes = (Date.now() / 1000 - time) / 60;
  if (minutes < 1.5) return "just now";
  if (minutes < 90) return `${Math.round(minutes)} minutes ago`;
  if (minutes < 36 * 60) return `${Math.round(minutes / 60)} hours ago`;
  return new Date(time * 1000).toLocaleDateString("en", { year: "numeric", month: "short", day: "numeric" });
}

/** The value of a setting. */
function formatSetting(value) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (value === "") return UNKNOWN;
  return Array.isArray(value) ? value.join(", ") : String(value);
}

const capitalize = (text) => text.charAt(0).toUpperCase() + text.slice(1);
