// The dialogs in which one decides how long artifacts are kept. `run(variables)` does it, as `openDialog` wants it.

import { openDialog } from "../dialog.js";
import { h } from "../dom.js";
import { bytes, count, time } from "../format.js";
import { nameOf, shown } from "../names.js";

const DAY_MS = 86_400_000;
const MORE_DAYS = [7, 30, 90];
const MOST_NOTE = 1000;

/** Asks until when: some days more, or a day. */
export function extendDialog(job, run) {
  const now = Math.max(Date.now(), Date.parse(job.artifact.expiredAt ?? "") || 0);
  const later = (days) => new Date(now + days * DAY_MS).toISOString();
  const date = h("input", { type: "date", id: "until-date", "aria-label": "Day", value: localDay(now + DAY_MS), min: localDay(now) });
  const choices = MORE_DAYS.map((days, at) =>
    choice(`more-${days}`, later(days), at === 0, [`${days} more days, until `, time(later(days))]));
  const own = choice("until-own", "date", false, ["Until the end of"], date);
  date.addEventListener("input", () => (own.querySelector("input").checked = true));
  return openDialog({
    title: "Keep it longer",
    does: "Keep longer",
    body: h("fieldset", { class: "choices" }, h("legend", { class: "unseen" }, "How long"), choices, own),
    run: async (form) => {
      const chosen = new FormData(form).get("until");
      return run({ until: whole(chosen === "date" ? endOfDay(date.value) : chosen) });
    },
  });
}

/** Asks why it is pinned. */
export function pinDialog(run) {
  const note = h("textarea", { id: "note", rows: "3", maxlength: String(MOST_NOTE), "aria-describedby": "note-hint" });
  return openDialog({
    title: "Pin the artifacts",
    does: "Pin",
    body: [
      h("p", null, "They are kept until somebody of the group unpins them, whatever else is set."),
      h("div", { class: "field" },
        h("label", { for: "note" }, "Why (if you like)"), note,
        h("p", { class: "hint", id: "note-hint" }, "The group sees it, such as “for the paper”.")),
    ],
    run: () => run({ note: note.value.trim() }),
  });
}

/** Asks before the pin is taken away. */
export function unpinDialog(run) {
  return openDialog({
    title: "Unpin the artifacts?",
    does: "Unpin",
    body: h("p", null, "They expire when they would have without the pin, but no sooner than in a day."),
    run: () => run({}),
  });
}

/** Asks before all of it is deleted, naming what. */
export function deleteDialog(job, run) {
  const { totalCount: files, totalSize: size } = job.artifact;
  const what = files ? `${count(files, "file")} (${bytes(size)})` : files === 0 ? "What is left" : "All files";
  return openDialog({
    title: "Delete the artifacts now?",
    does: files ? `Delete ${count(files, "file")}` : "Delete",
    isDanger: true,
    body: h("p", null, what, " of ", h("strong", null, shown(nameOf(job))),
      " will be gone from the store, for the whole group. This cannot be undone."),
    run: () => run({}),
  });
}

function choice(id, value, checked, words, ...more) {
  return h("div", { class: "choice" },
    h("input", { type: "radio", name: "until", id, value, checked }),
    h("div", { class: "pair" }, h("label", { for: id }, words), more));
}

function localDay(ms) {
  const at = new Date(ms);
  return [at.getFullYear(), at.getMonth() + 1, at.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
}

function endOfDay(day) {
  if (!day) throw new Error("Choose a day.");
  return new Date(`${day}T23:59:59`).toISOString();
}

/** The API takes whole seconds. */
function whole(iso) {
  return `${iso.slice(0, 19)}Z`;
}
