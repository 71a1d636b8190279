// The view of one job: polls the job and updates its page.

import { graphql } from "../api.js";
import { hasEnded, isCollecting, jobName } from "../job_status.js";
import { clearNetworkError } from "../notify.js";
import { poll } from "../polling.js";
import { escapeName } from "../untrusted_text.js";
import { jobPage } from "./page.js";
import { JOB } from "./queries.js";

const CHANGING_MS = 2000;
const SETTLED_MS = 30_000;

/**
 * @param {RouteMatch} match
 * @param {AbortSignal} signal
 * @param {SignedInSession} session
 * @returns {View}
 */
export function jobView(match, signal, session) {
  const [id] = match.args;
  const page = jobPage(id, session.user, () => polling.refresh(), signal);
  page.open(match);
  const polling = poll((requestSignal) => graphql(JOB, { id }, { signal: requestSignal }), {
    signal,
    intervalMs: ({ phJob: job }) => (hasEnded(job) && !isCollecting(job) ? SETTLED_MS : CHANGING_MS),
    onData: ({ phJob: job }) => {
      clearNetworkError();
      match.setTitle(escapeName(jobName(job)));
      page.show(job);
    },
    onError: page.fail,
  });
  signal.addEventListener("abort", clearNetworkError);
  return { element: page.element, title: escapeName(id), ready: polling.ready.then(page.ready), update: page.open };
}
