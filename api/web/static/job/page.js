// The job page's elements, and what they show of the job as it was asked for last.

import { h } from "../dom.js";
import { bytes, count } from "../format.js";
import { setText } from "../keyed.js";
import { hasEnded } from "../phase.js";
import { mayChange } from "../rights.js";
import { go, link } from "../router.js";
import { announce, problem, tellNetwork } from "../tell.js";
import { detailsPanel } from "./details.js";
import { jobHead } from "./head.js";
import { artifactsPanel } from "./left.js";
import { tabList } from "./tabs.js";

const TABS = [{ name: "details", label: "Details" }, { name: "artifacts", label: "Artifacts" }];
const NOT_YET = "The Artifacts tab opens when the job has ended.";

/** { element, show(job), fail(error), go(place), ready() }. `refresh()`: have the job asked for anew. */
export function jobPage(id, session, refresh, signal) {
  const address = `/jobs/${encodeURIComponent(id)}`;
  const isAllowed = (job) => mayChange(session.user, job.groupName);
  const head = jobHead(id, isAllowed, refresh);
  const details = detailsPanel(`${address}/artifacts`);
  const left = artifactsPanel(isAllowed, refresh);
  const tabs = tabList(TABS, (name) => go(name === "details" ? address : `${address}/artifacts`));
  const note = h("p", { id: "tab-note", class: "muted small" });
  tabs.panels.get("details").append(details.element);
  tabs.panels.get("artifacts").append(left.element);
  const tabbed = h("div", { class: "stack" },
    h("div", { class: "tabs" }, tabs.element, note), [...tabs.panels.values()]);
  const body = h("div", { "aria-busy": "true" }, h("p", { class: "card empty muted" }, "Looking for the job…"));
  signal.addEventListener("abort", left.close);
  let [job, place] = [null, null];

  function show(now) {
    tellChange(job, now);
    job = now;
    head.update(job);
    details.update(job);
    put(tabbed);
    showTab();
  }

  function showTab() {
    if (!job) return;
    const reason = hasEnded(job) ? "" : NOT_YET;
    const isArtifacts = place.args[1] === "artifacts" && !reason;
    tabs.setDisabled("artifacts", reason);
    tabs.show(isArtifacts ? "artifacts" : "details");
    note.hidden = !reason;
    setText(note, reason && soFar(job));
    if (isArtifacts) left.show(job, place.params);
    else left.close();
  }

  function fail(error) {
    if (job && error.isPassing) return tellNetwork(`${error.message} What you see may be out of date; trying again.`);
    job = null;
    left.close();
    head.clear();
    return put(error.code === "NOT_FOUND" ? notFound() : unreadable(error, refresh));
  }

  function put(child) {
    body.setAttribute("aria-busy", "false");
    if (body.firstChild !== child && !body.firstChild.isEqualNode(child)) body.replaceChildren(child);
  }

  function goTo(next) {
    if (next.args[0] !== id) return false;
    place = next;
    showTab();
    return true;
  }

  return { element: h("div", { class: "stack" }, head.element, body), show, fail, go: goTo, ready: left.ready };
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
