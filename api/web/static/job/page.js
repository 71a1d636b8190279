// The job page: header, tabs, and the error if the job cannot be shown.

import { h, setChild, setText } from "../dom.js";
import { hasCode, isTransient, messageOf } from "../errors.js";
import { formatBytes, formatCount } from "../format.js";
import { hasEnded } from "../job_status.js";
import { announce, errorNotice, retryButton, showNetworkError } from "../notify.js";
import { jobUrl, link, navigate } from "../router.js";
import { canChange } from "../session.js";
import { artifactsPanel } from "./artifacts_panel.js";
import { detailsPanel } from "./details.js";
import { jobHeader } from "./header.js";
import { tabList } from "./tabs.js";

const TABS = [{ name: "details", label: "Details" }, { name: "artifacts", label: "Artifacts" }];
const NOT_ENDED = "The Artifacts tab opens when the job has ended.";

/**
 * `show(job)` shows a loaded job, `fail(error)` shows that it could not be loaded. `open(match)` opens the tab of the
 * address and returns false if the address is another job's. `ready()` returns a promise of the first files.
 * @param {string} id
 * @param {User} user
 * @param {() => void} refresh reloads the job
 * @param {AbortSignal} signal
 */
export function jobPage(id, user, refresh, signal) {
  const url = jobUrl(id);
  const isAllowed = (/** @type {Job} */ { groupName }) => canChange(user, groupName);
  const header = jobHeader(id, isAllowed, refresh);
  const details = detailsPanel(`${url}/artifacts`);
  const artifacts = artifactsPanel(isAllowed, refresh);
  const tabs = tabList(TABS, (name) => navigate(name === "details" ? url : `${url}/artifacts`));
  const note = h("p", { id: "tab-note", class: "muted small" });
  tabs.panel("details").append(details.element);
  tabs.panel("artifacts").append(artifacts.element);
  const tabbed = h("div", { class: "stack" }, h("div", { class: "tabs" }, tabs.element, note), tabs.panels);
  const body = h("div", { "aria-busy": "true" }, h("p", { class: "card empty muted" }, "Loading the job…"));
  signal.addEventListener("abort", artifacts.close);
  /** @type {Job | null} */
  let job = null;
  /** @type {RouteMatch | null} */
  let match = null;

  /** @param {Job} next */
  function show(next) {
    announcePhase(job, next);
    job = next;
    header.update(job);
    details.update(job);
    showBody(tabbed);
    showTab();
  }

  function showTab() {
    if (!job || !match) return;
    const isEnded = hasEnded(job);
    const isArtifacts = isEnded && match.args[1] === "artifacts";
    tabs.setDisabled("artifacts", isEnded ? "" : NOT_ENDED);
    tabs.show(isArtifacts ? "artifacts" : "details");
    note.hidden = isEnded;
    setText(note, isEnded ? "" : describeProgress(job));
    if (isArtifacts) artifacts.show(job, match.params);
    else artifacts.close();
  }

  /** @param {unknown} error */
  function fail(error) {
    if (job && isTransient(error)) return showNetworkError(messageOf(error));
    job = null;
    artifacts.close();
    header.clear();
    const notice = () => errorNotice("The job cannot be shown.", messageOf(error), retryButton(refresh));
    return showBody(hasCode(error, "NOT_FOUND") ? jobNotFound() : notice());
  }

  /** @param {Element} child */
  function showBody(child) {
    body.setAttribute("aria-busy", "false");
    setChild(body, child);
  }

  /** @param {RouteMatch} next */
  function open(next) {
    if (next.args[0] !== id) return false;
    match = next;
    showTab();
    return true;
  }

  return { element: h("div", { class: "stack" }, header.element, body), show, fail, open, ready: artifacts.ready };
}

/** Tell screen readers about a change of the phase. @param {Job | null} previous @param {Job} job */
function announcePhase(previous, job) {
  if (!previous || previous.phase === job.phase) return;
  const state = `Job state: ${job.phase}.`;
  announce(hasEnded(job) ? `${state} The Artifacts tab is open.` : state);
}

/** @param {Job} job */
function describeProgress({ artifact, startTime }) {
  if (!startTime) return NOT_ENDED;
  const { totalCount: files, totalSize: size } = artifact ?? {};
  return `${files ? `${formatCount(files, "file")}, ${formatBytes(size)}` : "No files"} collected so far. ${NOT_ENDED}`;
}

function jobNotFound() {
  return h("div", { class: "card empty" },
    h("h2", null, "Job not found"),
    h("p", { class: "muted" }, "It may have been deleted, or it belongs to a group that you are not a member of."),
    link("/", { class: "button" }, "All jobs"));
}
