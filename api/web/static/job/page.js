// The job page's elements, and what they show of the job as it was asked for last.

import { h } from "../dom.js";
import { bytes, count } from "../format.js";
import { happened } from "../happened.js";
import { setText } from "../keyed.js";
import { shown } from "../names.js";
import { hasEnded, phaseChip } from "../phase.js";
import { mayChange } from "../rights.js";
import { go, link } from "../router.js";
import { announce, problem, tellNetwork } from "../tell.js";
import { jobActions } from "./actions.js";
import { jobDetails } from "./details.js";
import { artifactsPanel } from "./left.js";
import { happenedPanel } from "./panel.js";
import { tabList } from "./tabs.js";

const TABS = [{ name: "details", label: "Details" }, { name: "artifacts", label: "Artifacts" }];
const NOT_YET = "The Artifacts tab opens when the job has ended.";

/** { element, show(job), fail(error), go(place) }. `refresh()`: have the job asked for anew. */
export function jobPage(id, session, refresh, signal) {
  const address = `/jobs/${encodeURIComponent(id)}`;
  const isAllowed = (job) => mayChange(session.user, job.groupName);
  const [heading, chip] = [h("h1", null, shown(id)), h("span", { class: "phase" })];
  const actions = jobActions(isAllowed, refresh);
  const details = jobDetails();
  const left = artifactsPanel(isAllowed, refresh);
  const tabs = tabList(TABS, (name) => go(name === "details" ? address : `${address}/artifacts`));
  const note = h("p", { id: "tab-note", class: "muted small" });
  const told = h("p");
  const soon = happenedPanel();
  tabs.panels.get("details").append(
    h("div", { class: "stack" }, soon.element, h("div", { class: "card padded stack" }, told, details.element)));
  tabs.panels.get("artifacts").append(left.element);
  const body = h("div", { class: "stack" }, h("p", { class: "card empty muted" }, "Looking for the job…"));
  const tabbed = [h("div", { class: "tabs" }, tabs.element, note), ...tabs.panels.values()];
  const element = h("div", { class: "stack" },
    h("nav", { "aria-label": "Breadcrumb", class: "small" }, link("/", "Jobs")),
    h("div", { class: "head" }, h("div", { class: "bar" }, heading, chip), actions.element),
    body);
  signal.addEventListener("abort", left.close);
  let [job, place] = [null, null];

  function show(now) {
    const before = job;
    job = now;
    tellChange(before, now);
    if (heading.textContent !== shown(now.displayName || id).textContent) {
      heading.replaceChildren(shown(now.displayName || id));
    }
    if (before?.phase !== now.phase || before?.cancel !== now.cancel) chip.replaceChildren(phaseChip(now));
    actions.update(now);
    details.update(now);
    if (!tabs.element.isConnected) body.replaceChildren(...tabbed);
    showTab();
  }

  function showTab() {
    if (!job) return;
    const ended = hasEnded(job);
    tabs.setDisabled("artifacts", ended ? "" : NOT_YET);
    note.hidden = ended;
    setText(note, ended ? "" : soFar(job));
    soon.element.hidden = ended;
    if (!ended) soon.update(job);
    told.hidden = !ended;
    if (ended) showSummary(told, happened(job).title, address);
    const isArtifacts = place.args[1] === "artifacts" && ended;
    tabs.show(isArtifacts ? "artifacts" : "details");
    if (isArtifacts) left.show(job, place.params);
    else left.close();
  }

  function fail(error) {
    if (job && error.isPassing) return tellNetwork(`${error.message} What you see may be out of date; trying again.`);
    job = null;
    actions.element.replaceChildren();
    return body.replaceChildren(error.code === "NOT_FOUND" ? notFound() : unreadable(error, refresh));
  }

  function goTo(next) {
    if (next.args[0] !== id) return false;
    place = next;
    showTab();
    return true;
  }

  return { element, show, fail, go: goTo };
}

/** What a screen reader is told when the job goes on. */
function tellChange(before, now) {
  if (before && before.phase !== now.phase) {
    announce(hasEnded(now) ? `The job has ended: ${now.phase}. Its artifacts can be seen.` : `The job is ${now.phase}.`);
  }
}

/** Beside the tab that cannot be opened yet. */
function soFar({ artifact, startTime }) {
  if (!startTime) return NOT_YET;
  const { totalCount: files, totalSize: size } = artifact ?? {};
  return `${files ? `${count(files, "file")}, ${bytes(size)}` : "No files"} collected so far. ${NOT_YET}`;
}

/** What became of the artifacts, in a sentence that leads to them; made anew only where it has changed. */
function showSummary(element, title, address) {
  if (element.dataset.told === title) return;
  element.dataset.told = title;
  element.replaceChildren(h("strong", null, "Artifacts: "), title, " ", link(`${address}/artifacts`, "Show them"));
}

function notFound() {
  return h("div", { class: "card empty" },
    h("h2", null, "There is no such job"),
    h("p", { class: "muted" }, "It may have been removed, or it belongs to a group that you are not a member of."),
    link("/", { class: "button" }, "All jobs"));
}

function unreadable(error, refresh) {
  return problem("The job cannot be shown.", error.message,
    h("button", { type: "button", onclick: refresh }, "Try again"));
}
