// Numbers and times for people. Times are in the user's time zone, with UTC in the title.

import { h } from "./dom.js";

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"];
const LOCALE = "en";
const NUMBER = new Intl.NumberFormat(LOCALE);
const EXACT = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
const SHORT = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" });
const RELATIVE = new Intl.RelativeTimeFormat(LOCALE, { numeric: "always" });
/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const RELATIVE_UNITS = [["year", 31_557_600], ["month", 2_629_800], ["day", 86_400], ["hour", 3600], ["minute", 60]];
/** @type {[string, number][]} */
const DURATION_UNITS = [["d", 86_400], ["h", 3600], ["min", 60], ["s", 1]];
const DASH = "–";

/** "0 bytes", "1.5 KiB", "100 MiB"; a dash for no number. @param {number | null | undefined} size */
export function formatBytes(size) {
  if (size === null || size === undefined) return DASH;
  let [value, unit] = [size, 0];
  while (value >= 1023.95 && unit < UNITS.length - 1) [value, unit] = [value / 1024, unit + 1];
  if (unit === 0) return size === 1 ? "1 byte" : `${size} bytes`;
  return `${value >= 100 ? Math.round(value) : Number(value.toFixed(1))} ${UNITS[unit]}`;
}

/**
 * "1 file", "1,200 files"; only the number without a noun; a dash for no number.
 * @param {number | null | undefined} number
 * @param {string} [noun]
 */
export function formatCount(number, noun = "") {
  if (number === null || number === undefined) return DASH;
  const digits = NUMBER.format(number);
  if (!noun) return digits;
  return `${digits} ${number === 1 ? noun : `${noun}s`}`;
}

/** "3 files (2.5 KiB)". @param {FileCount} count */
export function formatFiles({ files, bytes }) {
  return `${formatCount(files, "file")} (${formatBytes(bytes)})`;
}

/** "12 s", "3 min 5 s", "2 h 10 min", "3 d 4 h". @param {number} seconds */
export function formatDuration(seconds) {
  const total = Math.max(0, Math.round(seconds));
  const index = DURATION_UNITS.findIndex(([, size]) => total >= size);
  if (index < 0) return "0 s";
  const [unit, size] = DURATION_UNITS[index];
  const first = `${Math.floor(total / size)} ${unit}`;
  if (index + 1 >= DURATION_UNITS.length) return first;
  const [nextUnit, nextSize] = DURATION_UNITS[index + 1];
  const rest = Math.floor((total % size) / nextSize);
  return rest ? `${first} ${rest} ${nextUnit}` : first;
}

/**
 * Seconds between two ISO times. Null if `from` is null; up to now if `until` is null.
 * @param {string | null | undefined} from
 * @param {string | null | undefined} until
 */
export function secondsBetween(from, until, now = Date.now()) {
  if (!from) return null;
  return Math.max(0, ((until ? Date.parse(until) : now) - Date.parse(from)) / 1000);
}

/**
 * A <time>: "Nov 24, 2026, 21:20", with seconds if `exact`; a dash for no time.
 * @param {string | null | undefined} iso
 */
export function timeElement(iso, { exact = false } = {}) {
  if (!iso) return h("span", null, DASH);
  return h("time", { datetime: iso, title: formatUtc(iso) }, (exact ? EXACT : SHORT).format(Date.parse(iso)));
}

/**
 * A <time> relative to now: "in 6 days", "3 minutes ago". `refreshRelativeTimes` updates it.
 * @param {string | null | undefined} iso
 */
export function relativeTimeElement(iso) {
  if (!iso) return h("span", null, DASH);
  const title = `${EXACT.format(Date.parse(iso))} (${formatUtc(iso)})`;
  return h("time", { datetime: iso, title, "data-relative": true }, formatRelative(iso));
}

/** "in 6 days", "3 minutes ago", "just now". @param {string} iso */
export function formatRelative(iso, now = Date.now()) {
  const seconds = (Date.parse(iso) - now) / 1000;
  for (const [unit, size] of RELATIVE_UNITS) {
    if (Math.abs(seconds) < size) continue;
    // Future days are rounded: truncated, a retention of 7 days would show "in 6 days" from its first second.
    const round = unit === "day" && seconds > 0 ? Math.round : Math.trunc;
    return RELATIVE.format(round(seconds / size), unit);
  }
  return seconds > 0 ? "in less than a minute" : "just now";
}

/** "2026-11-24 20:20:00 UTC". @param {string} iso */
export function formatUtc(iso) {
  return `${new Date(iso).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** Update all relative times on the page. */
export function refreshRelativeTimes() {
  /** @type {NodeListOf<HTMLTimeElement>} */
  const elements = document.querySelectorAll("time[data-relative]");
  for (const element of elements) {
    const text = formatRelative(element.dateTime);
    if (element.textContent !== text) element.textContent = text;
  }
}
