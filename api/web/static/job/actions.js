// What can be done with a job itself: cancel it, run it again.

import { ask } from "../ask.js";
import { openDialog } from "../dialog.js";
import { h } from "../dom.js";
import { icon } from "../icons.js";
import { nameOf, shown } from "../names.js";
import { hasEnded } from "../phase.js";
import { focusHeading, go } from "../router.js";
import { toast } from "../tell.js";
import { CANCEL, RERUN } from "./query.js";

/** { element, update(job), clear() }. `refresh()`: have the job asked for anew. */
export function jobActions(isAllowed, refresh) {
  const element = h("div", { class: "actions" });
  let before = null;
  function update(job) {
    const kind = !isAllowed(job) ? "" : hasEnded(job) ? "rerun" : job.cancel ? "" : "cancel";
    if (kind === before) return;
    before = kind;
    const hadFocus = element.contains(document.activeElement);
    element.replaceChildren(...(kind ? [kind === "cancel" ? cancelButton(job, refresh) : rerunButton(job)] : []));
    if (hadFocus && kind) element.firstChild.focus();
    else if (hadFocus) focusHeading();
  }
  function clear() {
    before = null;
    element.replaceChildren();
  }
  return { element, update, clear };
}

function cancelButton(job, refresh) {
  const run = async () => {
    await ask(CANCEL, { id: job.id });
    return () => {
      toast("The job was asked to end.");
      refresh();
    };
  };
  const body = h("p", null, h("strong", null, shown(nameOf(job))),
    " is asked to end. What it has left in its artifacts folder by then is kept.");
  const onclick = () => openDialog({ title: "Cancel the job?", does: "Cancel the job", isDanger: true, body, run });
  return h("button", { type: "button", class: "danger", onclick }, icon("stop"), "Cancel job");
}

function rerunButton(job) {
  const run = async () => {
    const { rerunPhJob: next } = await ask(RERUN, { id: job.id });
    return () => {
      toast("A new job was made.");
      go(`/jobs/${encodeURIComponent(next.id)}`);
    };
  };
  const body = h("p", null, "A new job with the same command, image and group is made.");
  const onclick = () => openDialog({ title: "Run it again?", does: "Run again", body, run });
  return h("button", { type: "button", onclick }, icon("again"), "Run again");
}
