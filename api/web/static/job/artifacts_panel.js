// The content of the Artifacts tab: the summary, the retention, and the files if there are any.

import { artifactsTab } from "../artifacts/tab.js";
import { h } from "../dom.js";
import { hasFiles } from "../job_status.js";
import { navigate } from "../router.js";
import { retentionBar } from "./retention_bar.js";
import { summaryPanel } from "./summary_panel.js";

/**
 * `ready()` returns a promise of the first files, if there are any.
 * @param {(job: Job) => boolean} isAllowed whether the user may change the retention
 * @param {() => void} refresh reloads the job
 */
export function artifactsPanel(isAllowed, refresh) {
  const summary = summaryPanel();
  const files = h("div");
  const element = h("div", { class: "stack" }, summary.element);
  /** @type {ReturnType<typeof retentionBar> | null} */
  let bar = null;
  /** @type {ReturnType<typeof artifactsTab> | null} */
  let tab = null;

  /** @param {Job} job @param {URLSearchParams} params */
  function show(job, params) {
    summary.update(job);
    if (!bar) {
      bar = retentionBar(isAllowed(job), refresh);
      element.append(bar.element, files);
    }
    bar.update(job);
    if (!hasFiles(job)) close();
    else if (tab) tab.update(job, params);
    else {
      tab = artifactsTab({ job, params, onParams: replaceQuery });
      files.replaceChildren(tab.element);
    }
  }

  function close() {
    tab?.close();
    tab = null;
    files.replaceChildren();
  }

  return { element, show, close, ready: () => tab?.ready };
}

/** @param {URLSearchParams} params @param {NavigateOptions} [options] */
function replaceQuery(params, options) {
  const query = params.toString();
  navigate(query ? `${location.pathname}?${query}` : location.pathname, options);
}
