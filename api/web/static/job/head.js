// The top of the job's page: where it is, its name and phase, what can be done with it.

import { h } from "../dom.js";
import { nameOf, shown } from "../names.js";
import { phaseChip } from "../phase.js";
import { link } from "../router.js";
import { jobActions } from "./actions.js";

/** { element, update(job), clear() }: what does not change is left as it is. `clear`: there is no job to act on. */
export function jobHead(id, isAllowed, refresh) {
  const heading = h("h1", null, shown(id));
  const chip = h("span", { class: "phase" });
  const actions = jobActions(isAllowed, refresh);
  const element = h("div", { class: "stack" },
    h("nav", { "aria-label": "Breadcrumb", class: "small" }, link("/", "Jobs")),
    h("div", { class: "head" }, h("div", { class: "bar" }, heading, chip), actions.element));
  function update(job) {
    replaceChild(heading, shown(nameOf(job)));
    replaceChild(chip, phaseChip(job));
    actions.update(job);
  }
  function clear() {
    chip.replaceChildren();
    actions.clear();
  }
  return { element, update, clear };
}

function replaceChild(parent, child) {
  if (!parent.firstChild?.isEqualNode(child)) parent.replaceChildren(child);
}
