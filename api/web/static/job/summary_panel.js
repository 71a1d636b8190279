// Shows the summary of a job's artifacts, above its files.

import { h, toNodes } from "../dom.js";
import { formatBytes, formatCount, relativeTimeElement, timeElement } from "../format.js";
import { icon } from "../icons.js";
import { summarizeArtifacts } from "../summary.js";
import { nameElement } from "../untrusted_text.js";

/** @type {Record<Tone, import("../icons.js").IconName>} */
const ICONS = { good: "check", warn: "warn", bad: "cross", busy: "run", "": "info" };
const MAX_PATHS = 20;
const MAX_OPEN_PATHS = 3; // more are folded

/** `update(job)` renders the summary again only if it has changed. */
export function summaryPanel() {
  const element = h("section", { class: "summary-panel", "aria-label": "Summary" });
  let shownSummary = "";

  /** @param {Job} job */
  function update(job) {
    const summary = summarizeArtifacts(job);
    const key = JSON.stringify(summary);
    if (key === shownSummary) return;
    shownSummary = key;
    const open = [...element.querySelectorAll("details")].filter((details) => details.open);
    const openKeys = open.map((details) => details.dataset.key);
    element.replaceChildren(summaryNotice(summary));
    for (const details of element.querySelectorAll("details")) details.open = openKeys.includes(details.dataset.key);
  }

  return { element, update };
}

/** @param {import("../summary.js").Summary} summary */
function summaryNotice({ tone, title, lines, hint, skipped, unstable }) {
  return h(
    "div",
    { class: `notice ${tone}` },
    h("h2", { class: "notice-title" }, icon(ICONS[tone]), " ", title),
    lines.map((line) => h("p", null, lineNodes(line))),
    hint && h("p", { class: "muted" }, hint),
    skipped.length > 0 && h("ul", { class: "skipped-list" }, skipped.map(skippedItem)),
    unstable.length > 0 && unstableFiles(unstable),
  );
}

/** @param {import("../summary.js").Line} line */
function lineNodes(line) {
  if (typeof line === "string") return line;
  const [before, after] = line.text;
  return toNodes(before, timeElement(line.at, { exact: true }), " (", relativeTimeElement(line.at), ")", after);
}

/** @param {import("../skip_reasons.js").SkippedFiles} skipped */
function skippedItem({ title, hint, detail, detailLabel, files, bytes, paths }) {
  const size = bytes ? ` (${formatBytes(bytes)})` : "";
  return h(
    "li",
    null,
    h("p", null, h("strong", null, `${formatCount(files, "file")} skipped: `), `${title}${size}.`),
    hint && h("p", { class: "muted small" }, hint),
    detail && h("p", { class: "muted small" }, `${detailLabel}: `, nameElement(detail)),
    paths.length > 0 && pathList(title, paths, files),
  );
}

/** @param {string[]} paths */
function unstableFiles(paths) {
  return h(
    "div",
    null,
    h("p", null, "Some files changed while they were being copied; their copies may be incomplete."),
    pathList("unstable", paths, paths.length),
  );
}

/**
 * The paths, folded if there are many. A report names at most the first hundred.
 * @param {string} key
 * @param {string[]} paths
 * @param {number} fileCount
 */
function pathList(key, paths, fileCount) {
  const rest = fileCount - Math.min(paths.length, MAX_PATHS);
  const list = h(
    "ul",
    { class: "paths mono" },
    paths.slice(0, MAX_PATHS).map((path) => h("li", null, path === "." ? "artifacts" : nameElement(path))),
    rest > 0 && h("li", { class: "muted" }, `and ${formatCount(rest)} more`),
  );
  if (fileCount <= MAX_OPEN_PATHS) return list;
  return h("details", { "data-key": key }, h("summary", null, "Show files"), list);
}
