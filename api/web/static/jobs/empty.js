// What is shown where there is no job, with what can be done; and the way from page to page.

import { h } from "../dom.js";
import { link } from "../router.js";
import { changed } from "./query.js";

/** `run`: opens the form that runs a command, where there is one. */
export function noJobs(params, { totalPage, currentPage }, run) {
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

/** Links to the pages beside the one that is shown; none where all jobs are on one. */
export function pageLinks(params, { currentPage: page, totalPage: pages, hasNextPage, hasPreviousPage }) {
  if (pages < 2 || page > pages) return [];
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
