// The list of jobs: newest first, page by page, narrowed by what the address says, kept true without a reload.

import { ask } from "../ask.js";
import { h } from "../dom.js";
import { keyed } from "../keyed.js";
import { live } from "../live.js";
import { hasEnded } from "../phase.js";
import { go, link } from "../router.js";
import { announce, problem, tellNetwork } from "../tell.js";
import { openCreate } from "./create.js";
import { filters } from "./filters.js";
import { changed, JOBS, readFilter } from "./query.js";
import { jobRow } from "./row.js";

const BUSY_MS = 2000;
const QUIET_MS = 10_000;
const COLUMNS = ["Job", "State", "Group", "Started", "Duration", "Artifacts"];

export function jobsView(place, signal, session) {
  let { params } = place;
  const isLocal = Boolean(session.local);
  const body = h("tbody", { role: "rowgroup" });
  const rows = keyed(body, (job) => job.id, jobRow);
  const table = h(
    "table",
    { class: "table cards jobs", "aria-label": "Jobs", role: "table" }, // roles: as cards it would lose its own
    h("thead", { role: "rowgroup" },
      h("tr", { role: "row" }, COLUMNS.map((name) => h("th", { scope: "col", role: "columnheader" }, name)))),
    body,
  );
  const result = h("div", { class: "card", "aria-busy": "true" }, h("p", { class: "empty muted" }, "Looking for jobs…"));
  const pages = h("nav", { class: "bar pages", "aria-label": "Pages" });
  const narrow = filters(session.user.groups, (changes, isTyping) => go(changed(params, changes), { replace: isTyping }));
  const run = () => openCreate(session.user.groups[0]);
  narrow.show(params);
  const list = live((ended) => ask(JOBS, readFilter(params), { signal: ended }), {
    signal,
    every: ({ phJobsConnection: { edges } }) => (edges.every(({ node }) => hasEnded(node)) ? QUIET_MS : BUSY_MS),
    onData: ({ phJobsConnection: found }) => {
      tellNetwork("");
      show(found);
    },
    onError: failed,
  });

  function show({ edges, pageInfo }) {
    const jobs = edges.map(({ node }) => node);
    narrow.offer(jobs.map((job) => job.groupName));
    rows(jobs);
    put(jobs.length ? table : nothing(params, pageInfo, isLocal && run));
    pages.replaceChildren(...pageLinks(params, pageInfo));
  }

  function failed(error) {
    if (error.isPassing && result.contains(table)) {
      return tellNetwork(`${error.message} What you see may be out of date; trying again.`);
    }
    return put(problem("The jobs cannot be shown.", error.message,
      h("button", { type: "button", onclick: () => list.refresh() }, "Try again")));
  }

  function put(element) {
    result.setAttribute("aria-busy", "false");
    if (result.firstChild !== element) result.replaceChildren(element);
  }

  function update(next) {
    params = next.params;
    narrow.show(params);
    list.refresh();
    list.first.then(() => announce("The list was changed."));
    return true;
  }

  const create = isLocal && h("button", { type: "button", class: "primary", onclick: run }, "Run a command");
  const element = h("div", { class: "stack" },
    h("div", { class: "head" }, h("h1", null, "Jobs"), create), narrow.element, result, pages);
  signal.addEventListener("abort", () => tellNetwork(""));
  return { element, title: "Jobs", ready: list.first, update };
}

/** What is shown where there is no job, with what can be done. */
function nothing(params, { totalPage, currentPage }, run) {
  if (currentPage > totalPage) {
    return empty("There is no such page", "Jobs may have gone meanwhile.", link(changed(params, {}), "To the first page"));
  }
  if (["group", "state", "search"].some((name) => params.get(name))) {
    return empty("No job is like that", "Look for something else, or at all jobs.", link("/", "Show all jobs"));
  }
  if (run) {
    return empty("No jobs yet", "Run a command: what it leaves in its artifacts folder is shown here.",
      h("button", { type: "button", class: "primary", onclick: run }, "Run a command"));
  }
  return empty("No jobs yet", "Jobs of your groups are shown here as soon as there are any.");
}

function empty(title, text, ...actions) {
  return h("div", { class: "empty" }, h("h2", null, title), h("p", { class: "muted" }, text), actions);
}

function pageLinks(params, { currentPage: page, totalPage: pages, hasNextPage, hasPreviousPage }) {
  if (pages < 2) return [];
  const to = (number, text, exists) =>
    exists
      ? link(changed(params, { page: number > 1 ? String(number) : "" }), { class: "button" }, text)
      : h("span", { class: "button", "aria-disabled": "true" }, text);
  return [
    to(page - 1, "Newer", hasPreviousPage),
    h("span", { class: "muted" }, `Page ${page} of ${pages}`),
    to(page + 1, "Older", hasNextPage),
  ];
}
