// The job's page.

import { artifactsTab } from "../artifacts/tab.js";
import { ask } from "../ask.js";
import { h } from "../dom.js";
import { go } from "../router.js";
import { JOB } from "./query.js";

export function jobView(place, signal) {
  const [id] = place.args;
  const element = h("div", null, h("h1", null, id));
  let tab = null;
  const onParams = (params, { replace = false } = {}) => go(`${location.pathname}?${params}`, { replace });
  const ready = ask(JOB, { id }, { signal }).then(({ phJob: job }) => {
    tab = artifactsTab({ job, params: place.params, onParams });
    element.append(tab.element);
  });
  signal.addEventListener("abort", () => tab?.close());
  return { element, title: id, ready, update: (next) => { tab?.update(next.params); return true; } };
}
