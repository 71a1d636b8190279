// The table of jobs, whose rows are updated in place. On a phone CSS shows the rows as cards, and browsers would then
// drop the table semantics, so all roles are explicit.

import { h, setText } from "../dom.js";
import { formatBytes, formatCount, formatDuration, relativeTimeElement, secondsBetween } from "../format.js";
import { icon } from "../icons.js";
import { hasEnded, isCollecting, jobName, phaseChip } from "../job_status.js";
import { keyedList } from "../keyed_list.js";
import { jobUrl, link } from "../router.js";
import { nameElement } from "../untrusted_text.js";

const COLUMNS = ["Job", "State", "Group", "Started", "Duration", "Artifacts"];

/** @type {Record<string, [tone: Tone, text: string]>} */
const STATE_NOTES = {
  incomplete: ["warn", "incomplete"],
  rejected: ["bad", "over the limit"],
  unknown: ["warn", "unknown"],
  "not-injected": ["warn", "not collected"],
};

/** The table; `show(jobs)` updates its rows. */
export function jobsTable() {
  const body = h("tbody", { role: "rowgroup" });
  const head = h("thead", { role: "rowgroup" },
    h("tr", { role: "row" }, COLUMNS.map((name) => h("th", { scope: "col", role: "columnheader" }, name))));
  const element = h("table", { class: "table cards jobs", "aria-label": "Jobs", role: "table" }, head, body);
  return { element, show: keyedList(body, (/** @type {JobRow} */ job) => job.id, jobRow) };
}

/** @param {JobRow} job */
function jobRow(job) {
  const name = h("th", { scope: "row", role: "rowheader", class: "lead" });
  const [state, group, started, duration, artifacts] = COLUMNS.slice(1).map(
    (label) => h("td", { "data-label": label, role: "cell" }));
  const element = h("tr", { role: "row" }, name, state, group, started, duration, artifacts);
  const updateCells = [
    cellUpdater(name, ({ id, displayName }) => [id, displayName], nameCell),
    cellUpdater(state, ({ phase, cancel }) => [phase, cancel], (now) => [phaseChip(now)]),
    cellUpdater(group, ({ groupName }) => [groupName], (now) => [nameElement(now.groupName)]),
    cellUpdater(started, ({ startTime, phase }) => [startTime, phase], startedCell),
    cellUpdater(artifacts, ({ artifact, phase }) => [artifact, phase], artifactsCell),
  ];
  const update = (/** @type {JobRow} */ now) => {
    for (const updateCell of updateCells) updateCell(now);
    setText(duration, durationText(now));
  };
  update(job);
  return { element, update };
}

/**
 * Return a function that renders the cell if the fields that it depends on have changed.
 * @param {Element} cell
 * @param {(job: JobRow) => unknown[]} read
 * @param {(job: JobRow) => Node[]} render
 */
function cellUpdater(cell, read, render) {
  let shown = "";
  return (/** @type {JobRow} */ job) => {
    const key = JSON.stringify(read(job));
    if (key !== shown) cell.replaceChildren(...render(job));
    shown = key;
  };
}

/** @param {JobRow} job */
function nameCell(job) {
  const name = jobName(job);
  const id = name === job.id ? [] : [h("div", { class: "muted small mono" }, nameElement(job.id))];
  return [link(jobUrl(job.id), { class: "job-name" }, nameElement(name)), ...id];
}

/** @param {JobRow} job */
function startedCell(job) {
  if (job.startTime) return [relativeTimeElement(job.startTime)];
  return [mutedText(hasEnded(job) ? "never" : "not yet")];
}

/** @param {JobRow} job */
function durationText(job) {
  const seconds = secondsBetween(job.startTime, job.finishTime);
  return seconds === null || (hasEnded(job) && !job.finishTime) ? "–" : formatDuration(seconds);
}

/** @param {JobRow} job */
function artifactsCell(job) {
  const { state, removed, totalCount: files, totalSize: size } = job.artifact ?? {};
  if (state === "expired") return [mutedText(removed ? "removed" : "expired")];
  if (!hasEnded(job)) return [mutedText(job.phase === "Running" ? "being collected" : "–")];
  if (isCollecting(job)) return [mutedText("being collected")];
  const [tone, note] = STATE_NOTES[state ?? ""] ?? ["", ""];
  const countText = files ? `${formatCount(files, "file")}, ${formatBytes(size)}` : "none";
  return [
    h("span", { class: "pair" },
      (files || !note) && h("span", { class: files ? "number" : "muted" }, state || files ? countText : "–"),
      note && h("span", { class: `chip ${tone}` }, icon("warn"), note)),
  ];
}

/** @param {string} text */
function mutedText(text) {
  return h("span", { class: "muted" }, text);
}
