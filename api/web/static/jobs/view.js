// The list of jobs: newest first, page by page, narrowed by what the address says, kept true without a reload.

import { ask } from "../ask.js";
import { h } from "../dom.js";
import { keepFocus } from "../focus.js";
import { count } from "../format.js";
import { live } from "../live.js";
import { hasEnded } from "../phase.js";
import { focusHeading, go } from "../router.js";
import { announce, problem, tellNetwork } from "../tell.js";
import { openCreate } from "./create.js";
import { noJobs, pageLinks } from "./empty.js";
import { filters } from "./filters.js";
import { changed, JOBS, readFilter } from "./query.js";
import { jobsTable } from "./table.js";

const BUSY_MS = 2000;
const QUIET_MS = 10_000;

export function jobsView(place, signal, session) {
  let { params } = place;
  const run = session.local && (() => openCreate(session.user.groups[0]));
  const narrow = filters(session.user.groups, (changes, isTyping) => go(changed(params, changes), { replace: isTyping }));
  const results = jobResults(run, () => list.refresh());
  narrow.show(params);
  const list = live((ended) => ask(JOBS, readFilter(params), { signal: ended }), {
    signal,
    every: ({ phJobsConnection: { edges } }) => (edges.every(({ node }) => hasEnded(node)) ? QUIET_MS : BUSY_MS),
    onData: ({ phJobsConnection: { edges, pageInfo } }) => {
      const jobs = edges.map(({ node }) => node);
      narrow.offer(jobs.map((job) => job.groupName));
      results.show(jobs, pageInfo, params);
    },
    onError: results.fail,
  });
  signal.addEventListener("abort", () => tellNetwork(""));

  async function update(next) {
    params = next.params;
    narrow.show(params);
    await list.refresh();
    announce(results.words());
  }

  const create = run && h("button", { type: "button", class: "primary", onclick: run }, "Run a command");
  const element = h("div", { class: "stack" },
    h("div", { class: "head" }, h("h1", null, "Jobs"), create), narrow.element, results.element);
  return { element, title: "Jobs", ready: list.first, update: (next) => (update(next), true) };
}

/** The jobs, or what stands in their place: { element, show, fail, words }. `refresh()`: have them asked for anew. */
function jobResults(run, refresh) {
  const table = jobsTable();
  const card = h("div", { class: "card", "aria-busy": "true" }, h("p", { class: "empty muted" }, "Looking for jobs…"));
  const pages = pageNav([]);
  const element = h("div", { class: "stack" }, card, pages);

  function show(jobs, pageInfo, params) {
    tellNetwork("");
    changing(() => {
      table.show(jobs);
      put(jobs.length ? table.element : noJobs(params, pageInfo, run));
      const next = pageNav(pageLinks(params, pageInfo));
      if (!pages.isEqualNode(next)) pages.replaceChildren(...next.childNodes);
    });
  }

  function fail(error) {
    if (error.isPassing && table.element.isConnected) {
      return tellNetwork(`${error.message} What you see may be out of date; trying again.`);
    }
    const act = h("button", { type: "button", onclick: refresh }, "Try again");
    return changing(() => put(problem("The jobs cannot be shown.", error.message, act)));
  }

  function changing(change) {
    keepFocus(element, pages, change, focusHeading);
  }

  function put(child) {
    card.setAttribute("aria-busy", "false");
    if (card.firstChild !== child && !card.firstChild.isEqualNode(child)) card.replaceChildren(child);
  }

  function words() {
    const found = card.querySelectorAll("tbody tr").length;
    return found ? `${count(found, "job")} on this page.` : card.textContent;
  }

  return { element, show, fail, words };
}

function pageNav(links) {
  return h("nav", { class: "bar pages", "aria-label": "Pages" }, links);
}
