// Numbers and times as a reader wants them. Times are in the reader's zone, with UTC in the title.

import { h } from "./dom.js";

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"];
const LOCALE = "en";
const NUMBER = new Intl.NumberFormat(LOCALE);
const EXACT = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
const SHORT = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" });
const RELATIVE = new Intl.RelativeTimeFormat(LOCALE, { numeric: "always" });
const SPANS = [["year", 31_557_600], ["month", 2_629_800], ["day", 86_400], ["hour", 3600], ["minute", 60]];
const DASH = "–";

/** "0 bytes", "1.5 KiB", "100 MiB"; a dash where there is no number. */
export function bytes(number) {
  if (number === null || number === undefined) return DASH;
  let [value, unit] = [number, 0];
  while (value >= 1023.95 && unit < UNITS.length - 1) [value, unit] = [value / 1024, unit + 1];
  if (unit === 0) return number === 1 ? "1 byte" : `${number} bytes`;
  return `${value >= 100 ? Math.round(value) : Number(value.toFixed(1))} ${UNITS[unit]}`;
}

/** "1 file", "1,200 files"; without a noun the number alone; a dash where there is none. */
export function count(number, noun = "") {
  if (number === null || number === undefined) return DASH;
  const told = NUMBER.format(number);
  if (!noun) return told;
  return `${told} ${number === 1 ? noun : `${noun}s`}`;
}

/** "12 s", "3 min 5 s", "2 h 10 min", "3 d 4 h". */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [["d", 86_400], ["h", 3600], ["min", 60], ["s", 1]];
  const at = parts.findIndex(([, size]) => whole >= size);
  if (at < 0) return "0 s";
  const [unit, size] = parts[at];
  const first = `${Math.floor(whole / size)} ${unit}`;
  if (at + 1 >= parts.length) return first;
  const [lesser, lesserSize] = parts[at + 1];
  const rest = Math.floor((whole % size) / lesserSize);
  return rest ? `${first} ${rest} ${lesser}` : first;
}

/** Seconds between two ISO times; `until` null: now. null where it has not begun. */
export function secondsBetween(from, until, now = Date.now()) {
  if (!from) return null;
  return Math.max(0, ((until ? Date.parse(until) : now) - Date.parse(from)) / 1000);
}

/** A point in time: "Nov 24, 2026, 21:20"; to the second with `exact`. A dash where there is none. */
export function time(iso, { exact = false } = {}) {
  if (!iso) return h("span", null, DASH);
  return h("time", { datetime: iso, title: utc(iso) }, (exact ? EXACT : SHORT).format(Date.parse(iso)));
}

/** A point in time as seen from now: "in 6 days", "3 minutes ago"; kept true by `tick`. */
export function relativeTime(iso) {
  if (!iso) return h("span", null, DASH);
  const title = `${EXACT.format(Date.parse(iso))} (${utc(iso)})`;
  return h("time", { datetime: iso, title, "data-relative": true }, relative(iso));
}

/** "in 6 days", "3 minutes ago", "just now". */
export function relative(iso, now = Date.now()) {
  const seconds = (Date.parse(iso) - now) / 1000;
  for (const [unit, size] of SPANS) {
    if (Math.abs(seconds) < size) continue;
    // Days ahead are rounded: what is kept for 7 days would be said to go in 6 from its first second on.
    const round = unit === "day" && seconds > 0 ? Math.round : Math.trunc;
    return RELATIVE.format(round(seconds / size), unit);
  }
  return seconds > 0 ? "in less than a minute" : "just now";
}

/** "2026-11-24 20:20:00 UTC". */
export function utc(iso) {
  return `${new Date(iso).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** Let all relative times on the page tell the truth again. */
export function tick() {
  for (const element of document.querySelectorAll("time[data-relative]")) {
    const text = relative(element.dateTime);
    if (element.textContent !== text) element.textContent = text;
  }
}
