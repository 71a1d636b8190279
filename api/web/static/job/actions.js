// The actions on a job itself: cancel, run again.

import { graphql } from "../api.js";
import { openDialog } from "../dialog.js";
import { h } from "../dom.js";
import { icon } from "../icons.js";
import { hasEnded, jobName } from "../job_status.js";
import { toast } from "../notify.js";
import { focusHeading, jobUrl, navigate } from "../router.js";
import { nameElement } from "../untrusted_text.js";
import { CANCEL, RERUN } from "./queries.js";

/**
 * The button for the action that the job's phase allows. `clear()` removes it.
 * @param {(job: Job) => boolean} isAllowed
 * @param {() => void} refresh reloads the job
 */
export function jobActions(isAllowed, refresh) {
  const element = h("div", { class: "actions" });
  /** @type {string | null} */
  let shownAction = null;

  /** @param {Job} job */
  function update(job) {
    const action = isAllowed(job) ? allowedAction(job) : "";
    if (action === shownAction) return;
    shownAction = action;
    const hadFocus = element.contains(document.activeElement);
    const button = { "": null, cancel: cancelButton(job, refresh), rerun: rerunButton(job) }[action];
    element.replaceChildren(...(button ? [button] : []));
    if (hadFocus && button) button.focus();
    else if (hadFocus) focusHeading();
  }

  function clear() {
    shownAction = null;
    element.replaceChildren();
  }

  return { element, update, clear };
}

/** @param {Job} job */
function allowedAction(job) {
  if (hasEnded(job)) return "rerun";
  return job.cancel ? "" : "cancel";
}

/** @param {Job} job @param {() => void} refresh */
function cancelButton(job, refresh) {
  const run = async () => {
    await graphql(CANCEL, { id: job.id });
    return () => {
      toast("The job is being cancelled.");
      refresh();
    };
  };
  const body = h("p", null, "This stops ", h("strong", null, nameElement(jobName(job))),
    ". The files that it has written to its artifacts folder by then are collected.");
  const onclick = () => openDialog({
    title: "Cancel the job?", confirmLabel: "Cancel the job", dismissLabel: "Keep running", isDanger: true, body, run,
  });
  return h("button", { type: "button", class: "danger", onclick }, icon("stop"), "Cancel job");
}

/** @param {Job} job */
function rerunButton(job) {
  const run = async () => {
    const { rerunPhJob: created } = await graphql(RERUN, { id: job.id });
    return () => {
      toast("A new job was created.");
      navigate(jobUrl(created.id));
    };
  };
  const body = h("p", null, "This creates a new job with the same command, image and group.");
  const onclick = () => openDialog({ title: "Run the job again?", confirmLabel: "Run again", body, run });
  return h("button", { type: "button", onclick }, icon("rerun"), "Run again");
}
