// The results of the list of jobs: the table with its page links, or a message in its place.

import { h, preserveFocus, setChild } from "../dom.js";
import { isTransient, messageOf } from "../errors.js";
import { formatCount } from "../format.js";
import { clearNetworkError, errorNotice, retryButton, showNetworkError } from "../notify.js";
import { focusHeading, link } from "../router.js";
import { urlWith } from "./queries.js";
import { jobsTable } from "./table.js";

/**
 * `describe()` returns a text for screen readers.
 * @param {(() => void) | null} openCreate opens the dialog that runs a command, if there is one
 * @param {() => void} refresh reloads the jobs
 */
export function jobResults(openCreate, refresh) {
  const table = jobsTable();
  const card = h("div", { class: "card", "aria-busy": "true" }, h("p", { class: "empty muted" }, "Loading jobs…"));
  const pages = pagination([]);
  const element = h("div", { class: "stack" }, card, pages);

  /** @param {JobRow[]} jobs @param {PageInfo} pageInfo @param {URLSearchParams} params */
  function show(jobs, pageInfo, params) {
    clearNetworkError();
    change(() => {
      table.show(jobs);
      showCard(jobs.length ? table.element : emptyMessage(params, pageInfo, openCreate));
      const next = pagination(pageLinks(params, pageInfo));
      if (!pages.isEqualNode(next)) pages.replaceChildren(...next.childNodes);
    });
  }

  /** @param {unknown} error */
  function fail(error) {
    if (isTransient(error) && table.element.isConnected) return showNetworkError(messageOf(error));
    return change(() => {
      showCard(errorNotice("The jobs cannot be shown.", messageOf(error), retryButton(refresh)));
    });
  }

  /** @param {() => void} makeChange */
  function change(makeChange) {
    preserveFocus(element, pages, makeChange, focusHeading);
  }

  /** @param {Element} child */
  function showCard(child) {
    card.setAttribute("aria-busy", "false");
    setChild(card, child);
  }

  function describe() {
    const rowCount = card.querySelectorAll("tbody tr").length;
    return rowCount ? `${formatCount(rowCount, "job")} on this page.` : card.textContent;
  }

  return { element, show, fail, describe };
}

/**
 * @param {URLSearchParams} params
 * @param {PageInfo} pageInfo
 * @param {(() => void) | null} openCreate
 */
function emptyMessage(params, { totalPage, currentPage }, openCreate) {
  if (currentPage > totalPage) {
    const firstPage = link(urlWith(params, {}), null, "First page");
    return message("Page not found", "The list of jobs has fewer pages.", firstPage);
  }
  if (["group", "state", "search"].some((name) => params.get(name))) {
    return message("No matching jobs", "Change the filters, or show all jobs.", link("/", null, "Show all jobs"));
  }
  if (openCreate) {
    return message("No jobs yet", "Run a command: the files that it writes to its artifacts folder are listed here.",
      h("button", { type: "button", class: "primary", onclick: openCreate }, "Run a command"));
  }
  return message("No jobs yet", "The jobs of your groups are listed here.");
}

/** @param {string} title @param {string} text @param {...Child} actions */
function message(title, text, ...actions) {
  return h("div", { class: "empty" }, h("h2", null, title), h("p", { class: "muted" }, text), actions);
}

/**
 * Links to the previous and the next page; none if there is only one.
 * @param {URLSearchParams} params
 * @param {PageInfo} pageInfo
 */
function pageLinks(params, { currentPage: page, totalPage: pages, hasNextPage, hasPreviousPage }) {
  if (pages < 2 || page > pages) return [];
  /** @param {number} number @param {string} label @param {boolean} exists */
  const pageLink = (number, label, exists) =>
    exists
      ? link(urlWith(params, { page: number > 1 ? String(number) : "" }), { class: "button" }, label)
      : h("span", { class: "button", "aria-disabled": "true" }, label);
  return [
    pageLink(page - 1, "Newer", hasPreviousPage),
    h("span", { class: "muted" }, `Page ${page} of ${pages}`),
    pageLink(page + 1, "Older", hasNextPage),
  ];
}

/** @param {Child[]} links */
function pagination(links) {
  return h("nav", { class: "bar pages", "aria-label": "Pages" }, links);
}
