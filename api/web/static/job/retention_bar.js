// Shows when the artifacts expire, and the buttons that change it.

import { graphql } from "../api.js";
import { h } from "../dom.js";
import { formatFiles, relativeTimeElement, timeElement } from "../format.js";
import { icon } from "../icons.js";
import { hasEnded, hasFiles, isCollecting } from "../job_status.js";
import { toast } from "../notify.js";
import { focusHeading } from "../router.js";
import { nameElement } from "../untrusted_text.js";
import { DELETE, EXTEND, PIN, UNPIN } from "./queries.js";
import { openDeleteDialog, openExtendDialog, openPinDialog, openUnpinDialog } from "./retention_dialogs.js";

/** @typedef {import("./retention_dialogs.js").JobWithArtifact} JobWithArtifact */

/**
 * @param {boolean} isAllowed whether the user may change the retention
 * @param {() => void} refresh reloads the job
 */
export function retentionBar(isAllowed, refresh) {
  const element = h("section", { class: "retention bar", "aria-label": "Retention" });
  let shownState = "";

  /** @param {Job} job */
  function update(job) {
    const { expiredAt, pinned, pinnedBy, pinnedAt, note, totalCount, state } = job.artifact ?? {};
    const isVisible = hasFiles(job);
    const key = JSON.stringify([isVisible, expiredAt, pinned, pinnedBy, pinnedAt, note, totalCount, state]);
    if (key === shownState) return;
    shownState = key;
    const focused = document.activeElement;
    const focusedAction = focused instanceof HTMLElement && element.contains(focused) ? focused.dataset.action : "";
    element.hidden = !isVisible;
    element.replaceChildren();
    if (isVisible) {
      const expiry = h("p", { class: "expiry" }, describeExpiry(job.artifact));
      element.append(expiry, ...actionButtons(job, isAllowed, refresh));
    }
    if (focusedAction) restoreFocus(element, focusedAction);
  }

  return { element, update };
}

/**
 * Focus the button of the same action, else another button, else the heading.
 * @param {Element} element
 * @param {string} action
 */
function restoreFocus(element, action) {
  /** @type {HTMLButtonElement | null} */
  const target = element.querySelector(`[data-action="${action}"]`) ?? element.querySelector("button");
  if (target) target.focus();
  else focusHeading();
}

/** @param {Artifact} artifact @returns {Child[]} */
function describeExpiry({ expiredAt, pinned, pinnedBy, pinnedAt, note }) {
  if (pinned) {
    const by = pinnedBy ? [" by ", nameElement(pinnedBy)] : [];
    const at = pinnedAt ? [", ", relativeTimeElement(pinnedAt)] : [];
    const comment = note ? [": “", nameElement(note), "”"] : [];
    return [icon("pin"), " Pinned", ...by, ...at, ...comment, ". Kept until unpinned."];
  }
  if (!expiredAt) return [icon("clock"), " The retention starts when the job ends."];
  return [icon("clock"), " Kept until ", timeElement(expiredAt), " (", relativeTimeElement(expiredAt), ")"];
}

/**
 * @param {JobWithArtifact} job
 * @param {boolean} isAllowed
 * @param {() => void} refresh
 */
function actionButtons(job, isAllowed, refresh) {
  if (!isAllowed) return [];
  /**
   * @template Data
   * @param {GraphQLQuery<Data>} mutation
   * @param {(data: Data) => string} confirmation
   */
  const change = (mutation, confirmation) => async (/** @type {Record<string, unknown>} */ variables) => {
    const data = await graphql(mutation, { id: job.id, ...variables });
    return () => {
      toast(confirmation(data));
      refresh();
    };
  };
  const { pinned } = job.artifact;
  const actions = [
    !pinned && button("extend", "Extend", () => openExtendDialog(job, change(EXTEND, () => "Retention extended."))),
    !pinned && button("pin", "Pin", () => openPinDialog(change(PIN, () => "Pinned."))),
    pinned && button("unpin", "Unpin", () => openUnpinDialog(change(UNPIN, () => "Unpinned."))),
    !pinned && hasEnded(job) && !isCollecting(job) && button("delete", "Delete", () => openDeleteDialog(job,
      change(DELETE, ({ deletePhJobArtifact: deleted }) => `Deleted ${formatFiles(deleted)}.`))),
  ];
  return actions.filter((action) => action !== false);
}

/**
 * @param {string} action
 * @param {string} label
 * @param {() => void} onclick
 */
function button(action, label, onclick) {
  const style = action === "delete" ? "danger" : "";
  return h("button", { type: "button", "data-action": action, class: style, onclick }, label);
}
