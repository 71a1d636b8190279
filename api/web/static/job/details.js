// What the job is, when it ran and how it ended.

import { h } from "../dom.js";
import { duration, secondsBetween, time } from "../format.js";
import { happened } from "../happened.js";
import { setText } from "../keyed.js";
import { shown, shownLines } from "../names.js";
import { exitWords, hasEnded, messageWords, reasonWords } from "../phase.js";
import { link } from "../router.js";
import { happenedPanel } from "./panel.js";

const MONO = { class: "mono" };

// Each: its term, what it tells of a job, and how that is shown. What a job does not tell is not shown.
const FIELDS = [
  ["State", (job) => [reasonWords(job), messageWords(job)], stateNodes],
  ["Exit code", exitWords, String],
  ["Command", (job) => job.command, commandNode],
  ["Image", (job) => job.image, (image) => shown(image, MONO)],
  ["Instance type", (job) => job.instanceType?.name, shown],
  ["Group", (job) => job.groupName, shown],
  ["User", (job) => job.userName, shown],
  ["Created", (job) => job.createTime, exactly],
  ["Started", (job) => job.startTime, exactly],
  ["Ended", (job) => job.finishTime, exactly],
  ["Duration", lasted, String],
  ["Longest run", (job) => job.activeDeadlineSeconds, duration],
  ["Id", (job) => job.id, (id) => shown(id, MONO)],
];

/**
 * { element, update(job) }: what becomes of the artifacts, as long as that is not in its own tab at `address`, and all
 * fields. Each is made anew only where it has changed.
 */
export function detailsPanel(address) {
  const fields = FIELDS.map(([term, read, make]) => field(term, read, make));
  const list = h("dl", { class: "details" }, fields.map((each) => each.elements));
  const panel = happenedPanel();
  const summary = h("p");
  const element = h("div", { class: "stack" }, panel.element, h("div", { class: "card padded stack" }, summary, list));
  function update(job) {
    const isOver = hasEnded(job);
    [panel.element.hidden, summary.hidden] = [isOver, !isOver];
    if (isOver) showSummary(summary, happened(job).title, address);
    else panel.update(job);
    for (const each of fields) each.update(job);
  }
  return { element, update };
}

function showSummary(element, title, address) {
  const next = h("p", null, h("strong", null, "Artifacts: "), title, " ", link(address, "Show them"));
  if (!element.isEqualNode(next)) element.replaceChildren(...next.childNodes);
}

function field(term, read, make) {
  const value = h("dd");
  const elements = [h("dt", null, term), value];
  let before = null;
  function update(job) {
    const told = read(job);
    const text = JSON.stringify(told ?? null);
    if (text === before) return;
    before = text;
    const isKnown = Array.isArray(told) ? told.some(Boolean) : Boolean(told);
    for (const element of elements) element.hidden = !isKnown;
    const made = isKnown ? [make(told)].flat() : [];
    if (typeof made[0] === "string") setText(value, made[0]);
    else value.replaceChildren(...made);
  }
  return { elements, update };
}

function exactly(iso) {
  return time(iso, { exact: true });
}

function lasted(job) {
  const seconds = secondsBetween(job.startTime, job.finishTime);
  return seconds === null || (hasEnded(job) && !job.finishTime) ? null : duration(seconds);
}

function commandNode(command) {
  return h("pre", { class: "command", tabindex: "0", "aria-label": "Command" }, shownLines(command));
}

function stateNodes([words, message]) {
  return [...(words ? [h("p", null, words)] : []), ...(message ? [h("p", { class: "muted small" }, shown(message))] : [])];
}
