// The dialogs that change the retention of a job's artifacts. `run(variables)` executes the mutation; see `openDialog`.

import { openDialog } from "../dialog.js";
import { h } from "../dom.js";
import { formatCount, formatFiles, timeElement } from "../format.js";
import { jobName } from "../job_status.js";
import { nameElement } from "../untrusted_text.js";

const DAY_MS = 86_400_000;
const EXTENSION_DAYS = [7, 30, 90];
const MAX_NOTE_LENGTH = 1000;

/** @typedef {(variables: Record<string, unknown>) => Promise<() => void>} Run */
/** @typedef {Job & { artifact: Artifact }} JobWithArtifact */

/** Ask for a new expiry: some days later, or a date. @param {JobWithArtifact} job @param {Run} run */
export function openExtendDialog(job, run) {
  const start = Math.max(Date.now(), Date.parse(job.artifact.expiredAt ?? "") || 0);
  const later = (/** @type {number} */ days) => new Date(start + days * DAY_MS).toISOString();
  const date = h("input", {
    type: "date", id: "until-date", "aria-label": "Date", value: localDate(start + DAY_MS), min: localDate(start),
  });
  const choices = EXTENSION_DAYS.map((days, index) => radio(
    `days-${days}`, later(days), index === 0, [`${days} more days, until `, timeElement(later(days))],
  ));
  const dateChoice = radio("until-chosen", "date", false, ["Until the end of"], date);
  date.addEventListener("input", () => {
    const input = dateChoice.querySelector("input");
    if (input) input.checked = true;
  });
  return openDialog({
    title: "Extend retention",
    confirmLabel: "Extend",
    body: h("fieldset", { class: "choices" },
      h("legend", { class: "visually-hidden" }, "New expiry"), choices, dateChoice),
    run: async (form) => {
      const chosen = String(new FormData(form).get("until"));
      return run({ until: toWholeSeconds(chosen === "date" ? endOfDay(date.value) : chosen) });
    },
  });
}

/** Ask for a note, then pin. @param {Run} run */
export function openPinDialog(run) {
  const note = h("textarea", {
    id: "note", rows: "3", maxlength: String(MAX_NOTE_LENGTH), "aria-describedby": "note-hint",
  });
  return openDialog({
    title: "Pin the artifacts",
    confirmLabel: "Pin",
    body: [
      h("p", null, "Pinned artifacts are kept until a member of the group unpins them, regardless of all settings."),
      h("div", { class: "field" },
        h("label", { for: "note" }, "Note (optional)"), note,
        h("p", { class: "hint", id: "note-hint" }, "The group can see the note, for example “for the paper”.")),
    ],
    run: () => run({ note: note.value.trim() }),
  });
}

/** Ask for confirmation, then unpin. @param {Run} run */
export function openUnpinDialog(run) {
  return openDialog({
    title: "Unpin the artifacts?",
    confirmLabel: "Unpin",
    body: h("p", null, "They will expire when they would have without the pin, but at the earliest in one day."),
    run: () => run({}),
  });
}

/** Ask for confirmation with the number of files, then delete. @param {JobWithArtifact} job @param {Run} run */
export function openDeleteDialog(job, run) {
  const { totalCount: files, totalSize } = job.artifact;
  const someFiles = files === 0 ? "The remaining files" : "All files";
  const object = files ? formatFiles({ files, bytes: totalSize ?? 0 }) : someFiles;
  return openDialog({
    title: "Delete the artifacts?",
    confirmLabel: files ? `Delete ${formatCount(files, "file")}` : "Delete",
    isDanger: true,
    body: h("p", null, object, " of ", h("strong", null, nameElement(jobName(job))),
      " will be deleted from the store, for the whole group. This cannot be undone."),
    run: () => run({}),
  });
}

/**
 * @param {string} id
 * @param {string} value
 * @param {boolean} checked
 * @param {Child} label
 * @param {...Child} children
 */
function radio(id, value, checked, label, ...children) {
  return h("div", { class: "choice" },
    h("input", { type: "radio", name: "until", id, value, checked }),
    h("div", { class: "pair" }, h("label", { for: id }, label), children));
}

/** "2026-11-24", in the user's time zone. @param {number} ms */
function localDate(ms) {
  const date = new Date(ms);
  const parts = [date.getFullYear(), date.getMonth() + 1, date.getDate()];
  return parts.map((part) => String(part).padStart(2, "0")).join("-");
}

/** The last second of the date in the user's time zone, as ISO time. @param {string} date */
function endOfDay(date) {
  if (!date) throw new Error("Choose a date.");
  return new Date(`${date}T23:59:59`).toISOString();
}

/** The API accepts whole seconds only. @param {string} iso */
function toWholeSeconds(iso) {
  return `${iso.slice(0, 19)}Z`;
}
