// The Details tab: what the job is, when it ran and how it ended.

import { h, setText } from "../dom.js";
import { formatDuration, secondsBetween, timeElement } from "../format.js";
import { additionalMessage, describeReason, formatExitCode, hasEnded } from "../job_status.js";
import { link } from "../router.js";
import { summarizeArtifacts } from "../summary.js";
import { linesElement, nameElement } from "../untrusted_text.js";
import { summaryPanel } from "./summary_panel.js";

/**
 * @typedef {string | Node} Content
 * @typedef {{ elements: HTMLElement[], update: (job: Job) => void }} Field
 */

/**
 * The Details tab: the summary of the artifacts until they have a tab of their own at `artifactsUrl`, and all fields.
 * @param {string} artifactsUrl
 */
export function detailsPanel(artifactsUrl) {
  const fields = createFields();
  const list = h("dl", { class: "details" }, fields.map((field) => field.elements));
  const panel = summaryPanel();
  const artifactsLine = h("p");
  const card = h("div", { class: "card padded stack" }, artifactsLine, list);
  const element = h("div", { class: "stack" }, panel.element, card);

  /** @param {Job} job */
  function update(job) {
    const isEnded = hasEnded(job);
    [panel.element.hidden, artifactsLine.hidden] = [isEnded, !isEnded];
    if (isEnded) showArtifactsLine(artifactsLine, summarizeArtifacts(job).title, artifactsUrl);
    else panel.update(job);
    for (const field of fields) field.update(job);
  }

  return { element, update };
}

/** @returns {Field[]} */
function createFields() {
  const mono = { class: "mono" };
  const exactTime = (/** @type {string} */ iso) => timeElement(iso, { exact: true });
  const name = (/** @type {string} */ text) => nameElement(text);
  return [
    createField("State", (job) => reasonAndMessage(job), reasonElements),
    createField("Exit code", formatExitCode, String),
    createField("Command", (job) => job.command, commandElement),
    createField("Image", (job) => job.image, (image) => nameElement(image, mono)),
    createField("Instance type", (job) => job.instanceType?.name, name),
    createField("Group", (job) => job.groupName, name),
    createField("User", (job) => job.userName, name),
    createField("Created", (job) => job.createTime, exactTime),
    createField("Started", (job) => job.startTime, exactTime),
    createField("Ended", (job) => job.finishTime, exactTime),
    createField("Duration", durationOf, String),
    createField("Time limit", (job) => job.activeDeadlineSeconds, formatDuration),
    createField("ID", (job) => job.id, (id) => nameElement(id, mono)),
  ];
}

/**
 * A field that is hidden without a value, and re-rendered only if its value has changed.
 * @template Value
 * @param {string} term
 * @param {(job: Job) => Value | null | undefined} read
 * @param {(value: NonNullable<Value>) => Content | Content[]} render
 * @returns {Field}
 */
function createField(term, read, render) {
  const content = h("dd");
  const elements = [h("dt", null, term), content];
  let shownValue = "";

  /** @param {Job} job */
  function update(job) {
    const value = read(job);
    const key = JSON.stringify(value ?? null);
    if (key === shownValue) return;
    shownValue = key;
    for (const element of elements) element.hidden = !value;
    const rendered = value ? [render(value)].flat() : [];
    if (typeof rendered[0] === "string") setText(content, rendered[0]);
    else content.replaceChildren(...rendered);
  }

  return { elements, update };
}

/**
 * @param {Element} element
 * @param {string} title
 * @param {string} artifactsUrl
 */
function showArtifactsLine(element, title, artifactsUrl) {
  const next = h("p", null, h("strong", null, "Artifacts: "), title, " ", link(artifactsUrl, null, "View artifacts"));
  if (!element.isEqualNode(next)) element.replaceChildren(...next.childNodes);
}

/** @param {Job} job */
function durationOf(job) {
  const seconds = secondsBetween(job.startTime, job.finishTime);
  return seconds === null || (hasEnded(job) && !job.finishTime) ? null : formatDuration(seconds);
}

/** @param {string} command */
function commandElement(command) {
  return h("pre", { class: "command", tabindex: "0", "aria-label": "Command" }, linesElement(command));
}

/** @param {Job} job */
function reasonAndMessage(job) {
  const [reason, message] = [describeReason(job), additionalMessage(job)];
  return reason || message ? { reason, message } : null;
}

/** @param {{ reason: string, message: string }} state */
function reasonElements({ reason, message }) {
  return [
    ...(reason ? [h("p", null, reason)] : []),
    ...(message ? [h("p", { class: "muted small" }, nameElement(message))] : []),
  ];
}
