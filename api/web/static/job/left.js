// What the Artifacts tab holds: what happened, until when it is kept, and the files where there are any.

import { artifactsTab } from "../artifacts/tab.js";
import { h } from "../dom.js";
import { go } from "../router.js";
import { hasFiles } from "./files.js";
import { happenedPanel } from "./panel.js";
import { retentionBar } from "./retention.js";

/** { element, show(job, params), close(), ready() }: `ready` answers a promise of the first files, if there are any. */
export function artifactsPanel(isAllowed, refresh) {
  const panel = happenedPanel();
  const files = h("div");
  const element = h("div", { class: "stack" }, panel.element);
  let [bar, tab] = [null, null];

  function show(job, params) {
    panel.update(job);
    if (!bar) {
      bar = retentionBar(isAllowed(job), refresh);
      element.append(bar.element, files);
    }
    bar.update(job);
    if (!hasFiles(job)) return close();
    if (tab) return tab.update(job, params);
    tab = artifactsTab({ job, params, onParams });
    return files.replaceChildren(tab.element);
  }

  function close() {
    tab?.close();
    tab = null;
    files.replaceChildren();
  }

  return { element, show, close, ready: () => tab?.ready };
}

function onParams(params, options) {
  const text = params.toString();
  go(text ? `${location.pathname}?${text}` : location.pathname, options);
}
