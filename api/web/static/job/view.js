// The job's view: asks for the job again and again, and has its page show it.

import { ask } from "../ask.js";
import { live } from "../live.js";
import { nameOf, visible } from "../names.js";
import { hasEnded } from "../phase.js";
import { tellNetwork } from "../tell.js";
import { jobPage } from "./page.js";
import { JOB } from "./query.js";

const BUSY_MS = 2000;
const QUIET_MS = 30_000;

export function jobView(place, signal, session) {
  const [id] = place.args;
  const page = jobPage(id, session, () => asked.refresh(), signal);
  page.go(place);
  const asked = live((ended) => ask(JOB, { id }, { signal: ended }), {
    signal,
    every: ({ phJob: job }) => (isSettled(job) ? QUIET_MS : BUSY_MS),
    onData: ({ phJob: job }) => {
      tellNetwork("");
      place.setTitle(visible(nameOf(job)));
      page.show(job);
    },
    onError: page.fail,
  });
  signal.addEventListener("abort", () => tellNetwork(""));
  return { element: page.element, title: visible(id), ready: asked.first.then(page.ready), update: page.go };
}

/** Whether nothing about the job changes by itself any more, but its expiry. */
function isSettled(job) {
  return hasEnded(job) && !["syncing", "collecting"].includes(job.artifact?.state);
}
