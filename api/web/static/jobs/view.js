// The view of the list of jobs: newest first, in pages, filtered by the address, and polled.

import { graphql } from "../api.js";
import { h } from "../dom.js";
import { hasEnded } from "../job_status.js";
import { announce, clearNetworkError } from "../notify.js";
import { poll } from "../polling.js";
import { navigate } from "../router.js";
import { openCreateDialog } from "./create_dialog.js";
import { jobFilters } from "./filters.js";
import { JOBS, parseFilter, urlWith } from "./queries.js";
import { jobResults } from "./results.js";

const CHANGING_MS = 2000;
const SETTLED_MS = 10_000;

/**
 * @param {RouteMatch} match
 * @param {AbortSignal} signal
 * @param {SignedInSession} session
 * @returns {View}
 */
export function jobsView(match, signal, session) {
  let { params } = match;
  const { groups } = session.user;
  const openCreate = session.local ? () => openCreateDialog(groups[0]) : null;
  const filters = jobFilters(groups, (changes, isTyping) => navigate(urlWith(params, changes), { replace: isTyping }));
  const results = jobResults(openCreate, () => polling.refresh());
  filters.show(params);
  const polling = poll((requestSignal) => graphql(JOBS, parseFilter(params), { signal: requestSignal }), {
    signal,
    intervalMs: ({ phJobsConnection: { edges } }) =>
      (edges.every(({ node }) => hasEnded(node)) ? SETTLED_MS : CHANGING_MS),
    onData: ({ phJobsConnection: { edges, pageInfo } }) => {
      const jobs = edges.map(({ node }) => node);
      filters.addGroups(jobs.map((job) => job.groupName));
      results.show(jobs, pageInfo, params);
    },
    onError: results.fail,
  });
  signal.addEventListener("abort", clearNetworkError);

  /** @param {RouteMatch} next */
  function update(next) {
    params = next.params;
    filters.show(params);
    polling.refresh().then(() => announce(results.describe()));
    return true;
  }

  const createButton =
    openCreate && h("button", { type: "button", class: "primary", onclick: openCreate }, "Run a command");
  const element = h("div", { class: "stack" },
    h("div", { class: "head" }, h("h1", null, "Jobs"), createButton), filters.element, results.element);
  return { element, title: "Jobs", ready: polling.ready, update };
}
