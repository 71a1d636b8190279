// Shows a folder, or search results below it: the bar, the table of files, and loading more of them.

import { h, preserveFocus } from "../dom.js";
import { hasCode, isAbort, messageOf } from "../errors.js";
import { errorNotice, retryButton } from "../notify.js";
import { escapeName } from "../untrusted_text.js";
import { fileTable } from "./file_table.js";
import { folderBar } from "./folder_bar.js";
import { ListingCache } from "./listing.js";
import { countMessage, emptyMessage } from "./messages.js";
import { toggleSort } from "./tab_state.js";

// The API's message is about arguments of GraphQL.
const TOO_LARGE = "There are too many files to sort or search them. Show them by name, or open a subfolder.";
const PREFETCH_DISTANCE = "600px"; // from the viewport to the end of the list

/**
 * @typedef {object} FilePosition the position of a file among the listed files
 * @property {number} index
 * @property {number} count
 * @property {boolean} hasMore
 */

/**
 * `show(state, job)` returns a promise of the first files.
 * @param {object} options
 * @param {Job} options.job
 * @param {TabState} options.state
 * @param {(changes: Partial<TabState>, options?: NavigateOptions) => void} options.onNavigate
 * @param {(url: string) => void} options.onSave
 * @param {() => void} options.onLoaded called after each page of files
 */
export function folderView({ job: firstJob, state: firstState, onNavigate, onSave, onLoaded }) {
  const listings = new ListingCache(firstJob.id);
  const controller = new AbortController();
  let [state, job] = [firstState, firstJob];
  let listing = listings.get(firstState);
  let isShown = false;

  const openFolder = (/** @type {string} */ path) => onNavigate({ path, search: "" });
  const bar = folderBar({
    onFolder: openFolder,
    onSearch: (search) => { if (search !== state.search) onNavigate({ search }, { replace: true }); },
    onSave,
  });
  const table = fileTable({
    onSort: (order) => onNavigate(toggleSort(state, order), { replace: true }),
    onFolder: openFolder,
    onPreview: (file) => onNavigate({ file }),
    onSave,
  });
  const notices = h("div", { class: "stack tight" });
  const counts = h("p", { class: "muted small", role: "status" });
  const moreButton = h("button", { type: "button", hidden: true, onclick: loadAndFocus }, "Show more");
  const end = h("div", { class: "files-end" }, counts, moreButton);
  const card = h("div", { class: "card files-card" }, table.element, end);
  const element = h("div", { class: "stack" }, bar.element, notices, card);
  const observer = new IntersectionObserver((entries) => {
    if (entries.at(-1)?.isIntersecting) load();
  }, { rootMargin: PREFETCH_DISTANCE });

  /** @param {TabState} nextState @param {Job} nextJob */
  async function show(nextState, nextJob) {
    const haveFilesChanged = filesKey(job) !== filesKey(nextJob);
    if (haveFilesChanged) listings.clear();
    [state, job] = [nextState, nextJob];
    const next = listings.get(state);
    if (isShown && next === listing) return;
    [listing, isShown] = [next, true];
    change(() => {
      notices.replaceChildren();
      table.show(listing, `Files in ${escapeName(state.path) || "the artifacts folder"}`);
      showEnd();
    });
    if (!listing.isLoaded) await load();
    else observeEnd();
  }

  /** Load more when the end comes near. Observing again after each page reports an end that is still near. */
  function observeEnd() {
    observer.unobserve(moreButton);
    observer.observe(moreButton);
  }

  /** Load the next page of the listing. */
  async function load() {
    const current = listing;
    if (!current.hasMore) return;
    if (!current.isLoaded) counts.textContent = "Loading…";
    try {
      await current.loadMore(controller.signal);
    } catch (error) {
      if (!isAbort(error) && current === listing) showError(error);
      return;
    }
    if (current !== listing) return;
    change(() => {
      notices.replaceChildren();
      table.add(listing);
      showEnd();
    });
    observeEnd();
    onLoaded();
  }

  function showEnd() {
    const isEmpty = listing.length === 0 && !listing.hasMore;
    bar.show(state, listing.prefix, job.id, isEmpty);
    table.element.hidden = listing.length === 0;
    moreButton.hidden = !listing.hasMore || listing.length === 0;
    end.classList.toggle("empty", isEmpty);
    if (isEmpty) counts.textContent = emptyMessage(job.artifact?.state ?? "", state);
    else counts.textContent = listing.length > 0 ? countMessage(listing) : "";
  }

  async function loadAndFocus() {
    const firstNew = listing.length;
    await load();
    table.focusRow(firstNew);
  }

  /** @param {unknown} error */
  function showError(error) {
    const reset = () => onNavigate({ order: "name", isDescending: false, search: "" }, { replace: true });
    const isTooLarge = hasCode(error, "TOO_LARGE");
    const button = isTooLarge
      ? h("button", { type: "button", onclick: reset }, "Show all by name")
      : retryButton(load);
    const text = isTooLarge ? TOO_LARGE : messageOf(error);
    change(() => {
      showNotice(errorNotice("The files cannot be listed.", text, button));
      counts.textContent = "";
      moreButton.hidden = true;
    });
  }

  /**
   * If the focused element disappears, focus the folder's name: it exists in every state.
   * @param {() => void} makeChange
   */
  function change(makeChange) {
    preserveFocus(element, bar.element, makeChange, () => {
      /** @type {HTMLElement | null} */
      const crumb = bar.element.querySelector("[aria-current]");
      crumb?.setAttribute("tabindex", "-1");
      crumb?.focus({ preventScroll: true });
    });
  }

  /** @param {Element} notice */
  function showNotice(notice) {
    notices.replaceChildren(notice);
  }

  /**
   * Return the file `offset` positions after `file`; null if no such file exists.
   * @param {string} file
   * @param {number} offset
   */
  async function neighbor(file, offset) {
    const index = listing.files.indexOf(file) + offset;
    if (index >= listing.files.length && listing.hasMore) await load();
    return listing.files[index] ?? null;
  }

  /** @param {string} file @returns {FilePosition | null} null if the file is not listed */
  function positionOf(file) {
    const index = listing.files.indexOf(file);
    return index < 0 ? null : { index, count: listing.files.length, hasMore: listing.hasMore };
  }

  function close() {
    controller.abort();
    observer.disconnect();
  }

  return { element, show, neighbor, positionOf, focusFile: table.focusFile, showNotice, close };
}

/** A key that changes when files are collected, deleted or expire. @param {Job} job */
function filesKey({ artifact }) {
  return [artifact?.state, artifact?.totalCount, artifact?.totalSize].join();
}
