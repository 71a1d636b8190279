// Until when the artifacts are kept, and what the reader may decide about that.

import { ask } from "../ask.js";
import { h } from "../dom.js";
import { bytes, count, relativeTime, time } from "../format.js";
import { icon } from "../icons.js";
import { shown } from "../names.js";
import { hasEnded } from "../phase.js";
import { focusHeading } from "../router.js";
import { toast } from "../tell.js";
import { deleteDialog, extendDialog, pinDialog, unpinDialog } from "./decide.js";
import { hasFiles } from "./files.js";
import { DELETE, EXTEND, PIN, UNPIN } from "./query.js";

/** { element, update(job) }. `isAllowed`: whether the reader may decide; `refresh()`: have the job asked for anew. */
export function retentionBar(isAllowed, refresh) {
  const element = h("section", { class: "retention bar", "aria-label": "How long it is kept" });
  let before = "";
  function update(job) {
    const { expiredAt, pinned, pinnedBy, pinnedAt, note, totalCount, state } = job.artifact ?? {};
    const isShown = hasFiles(job);
    const told = JSON.stringify([isShown, expiredAt, pinned, pinnedBy, pinnedAt, note, totalCount, state]);
    if (told === before) return;
    before = told;
    const focused = element.contains(document.activeElement) && document.activeElement.dataset.does;
    element.hidden = !isShown;
    element.replaceChildren(...(isShown ? [kept(job.artifact), ...buttons(job, isAllowed, refresh)] : []));
    if (focused) giveFocus(element, focused);
  }
  return { element, update };
}

/** To the button that does the same, else to another one, else to the heading. */
function giveFocus(element, does) {
  const button = element.querySelector(`[data-does="${does}"]`) ?? element.querySelector("button");
  if (button) button.focus();
  else focusHeading();
}

function kept(artifact) {
  return h("p", { class: "kept" }, words(artifact));
}

function words({ expiredAt, pinned, pinnedBy, pinnedAt, note }) {
  if (pinned) {
    const by = pinnedBy ? [" by ", shown(pinnedBy)] : [];
    const at = pinnedAt ? [", ", relativeTime(pinnedAt)] : [];
    const why = note ? [": “", shown(note), "”"] : [];
    return [icon("pin"), " Pinned", ...by, ...at, ...why, ". Kept until it is unpinned."];
  }
  if (!expiredAt) return [icon("clock"), " How long it is kept counts from the job's end."];
  return [icon("clock"), " Kept until ", time(expiredAt), " (", relativeTime(expiredAt), ")"];
}

function buttons(job, isAllowed, refresh) {
  if (!isAllowed) return [];
  const { pinned, state } = job.artifact;
  const isDone = hasEnded(job) && !["syncing", "collecting"].includes(state);
  const change = (query, done) => async (variables) => {
    const data = await ask(query, { id: job.id, ...variables });
    return () => {
      toast(done(data));
      refresh();
    };
  };
  const removed = ({ deletePhJobArtifact: gone }) => `Deleted: ${count(gone.files, "file")}, ${bytes(gone.bytes)}.`;
  const all = [
    !pinned && ["extend", "Keep longer", () => extendDialog(job, change(EXTEND, () => "It is kept longer."))],
    !pinned && ["pin", "Pin", () => pinDialog(change(PIN, () => "Pinned."))],
    pinned && ["unpin", "Unpin", () => unpinDialog(change(UNPIN, () => "Unpinned."))],
    !pinned && isDone && ["delete", "Delete now", () => deleteDialog(job, change(DELETE, removed))],
  ];
  return all.filter(Boolean).map(([does, text, onclick]) =>
    h("button", { type: "button", "data-does": does, class: does === "delete" ? "danger" : "", onclick }, text));
}
