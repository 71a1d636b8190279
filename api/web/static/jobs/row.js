// A row of the list of jobs, which is brought up to date in place.

import { h } from "../dom.js";
import { bytes, count, duration, relativeTime, secondsBetween } from "../format.js";
import { icon } from "../icons.js";
import { setText } from "../keyed.js";
import { nameOf, shown } from "../names.js";
import { hasEnded, phaseChip } from "../phase.js";
import { link } from "../router.js";

// What is to be said of artifacts in a row, where their number does not say it all.
const NOTES = {
  incomplete: ["warn", "incomplete"],
  rejected: ["bad", "over the limit"],
  unknown: ["warn", "not known"],
  "not-injected": ["warn", "not collected"],
};

/** { element, update(job) } for `keyed`. */
export function jobRow(job) {
  const name = h("th", { scope: "row", role: "rowheader", class: "lead" });
  const [state, group, started, lasted, artifacts] = ["State", "Group", "Started", "Duration", "Artifacts"].map(
    (label) => h("td", { "data-label": label, role: "cell" }));
  const element = h("tr", { role: "row" }, name, state, group, started, lasted, artifacts);
  const cells = [
    [name, (now) => [now.id, now.displayName], nameCell],
    [state, (now) => [now.phase, now.cancel], (now) => [phaseChip(now)]],
    [group, (now) => [now.groupName], (now) => [shown(now.groupName)]],
    [started, (now) => [now.startTime, now.phase], startedCell],
    [artifacts, (now) => [now.artifact, now.phase], artifactsCell],
  ].map(([cell, read, make]) => changing(cell, read, make));
  const update = (now) => {
    for (const change of cells) change(now);
    setText(lasted, lastedText(now));
  };
  update(job);
  return { element, update };
}

/** Makes a cell's content anew only where what it tells has changed. */
function changing(cell, read, make) {
  let before = "";
  return (job) => {
    const told = JSON.stringify(read(job));
    if (told !== before) cell.replaceChildren(...make(job));
    before = told;
  };
}

function nameCell(job) {
  const name = nameOf(job);
  return [
    link(`/jobs/${encodeURIComponent(job.id)}`, { class: "job-name" }, shown(name)),
    ...(name !== job.id ? [h("div", { class: "muted small mono" }, shown(job.id))] : []),
  ];
}

function startedCell(job) {
  if (job.startTime) return [relativeTime(job.startTime)];
  return [h("span", { class: "muted" }, hasEnded(job) ? "never" : "not yet")];
}

function lastedText(job) {
  const seconds = secondsBetween(job.startTime, job.finishTime);
  return seconds === null || (hasEnded(job) && !job.finishTime) ? "–" : duration(seconds);
}

function artifactsCell({ artifact, phase, ...job }) {
  const { state, totalCount: files, totalSize: size } = artifact ?? {};
  if (state === "expired") return [h("span", { class: "muted" }, "expired")];
  if (!hasEnded({ ...job, phase })) return [h("span", { class: "muted" }, phase === "Running" ? "being collected" : "–")];
  if (["syncing", "collecting"].includes(state)) return [h("span", { class: "muted" }, "being collected")];
  const [tone, note] = NOTES[state] ?? [];
  const told = files ? `${count(files, "file")}, ${bytes(size)}` : "none";
  return [
    h("span", { class: "pair" },
      (files || !note) && h("span", { class: files ? "number" : "muted" }, state || files ? told : "–"),
      note && h("span", { class: `chip ${tone}` }, icon("warn"), note)),
  ];
}
