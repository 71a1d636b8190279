// The top of the job page: breadcrumb, name, phase and actions.

import { h, setChild } from "../dom.js";
import { jobName, phaseChip } from "../job_status.js";
import { link } from "../router.js";
import { nameElement } from "../untrusted_text.js";
import { jobActions } from "./actions.js";

/**
 * `update(job)` changes only what differs. `clear()` removes phase and actions if there is no such job.
 * @param {string} id
 * @param {(job: Job) => boolean} isAllowed whether the user may act on the job
 * @param {() => void} refresh reloads the job
 */
export function jobHeader(id, isAllowed, refresh) {
  const heading = h("h1", null, nameElement(id));
  const phase = h("span", { class: "phase" });
  const actions = jobActions(isAllowed, refresh);
  const element = h("div", { class: "stack" },
    h("nav", { "aria-label": "Breadcrumb", class: "small" }, link("/", null, "Jobs")),
    h("div", { class: "head" }, h("div", { class: "bar" }, heading, phase), actions.element));

  /** @param {Job} job */
  function update(job) {
    setChild(heading, nameElement(jobName(job)));
    setChild(phase, phaseChip(job));
    actions.update(job);
  }

  function clear() {
    phase.replaceChildren();
    actions.clear();
  }

  return { element, update, clear };
}
