// A folder's files, or those found in it: the bar above, the list, how much of it is shown, and more of it.

import { h, nodes } from "../dom.js";
import { keepFocus } from "../focus.js";
import { visible } from "../names.js";
import { problem } from "../tell.js";
import { folderBar } from "./bar.js";
import { fileList } from "./list.js";
import { Listings } from "./listing.js";
import { sortedBy } from "./state.js";
import { countWords, emptyWords } from "./words.js";

const AHEAD = "600px"; // how far from the end of what is shown more is asked for

/**
 * `id`: the job's. `go(part, options)`: the reader wants another state; `onSave(url)`; `onMore()`: more is known.
 * Answers { element, show(state, job), neighbour(file, by), placeOf(file), focus(file), fail(notice), close() }:
 * `show` answers a promise of the first files.
 */
export function filesView({ id, go, onSave, onMore }) {
  const listings = new Listings(id);
  const ending = new AbortController();
  let [state, job, listing] = [null, null, null];

  const goFolder = (path) => go({ path, search: "" });
  const onSearch = (search) => search !== state.search && go({ search }, { replace: true });
  const onSort = (order) => go(sortedBy(state, order), { replace: true });
  const onGo = ({ path, file }) => (file === undefined ? goFolder(path) : go({ file }));

  const bar = folderBar({ onFolder: goFolder, onSearch, onSave });
  const list = fileList({ onSort, onGo, onSave });
  const notices = h("div", { class: "stack close" });
  const counts = h("p", { class: "muted small", role: "status" });
  const more = h("button", { type: "button", hidden: true, onclick: moreByHand }, "Show more");
  const end = h("div", { class: "files-end" }, counts, more);
  const card = h("div", { class: "card files-card" }, list.element, end);
  const element = h("div", { class: "stack" }, bar.element, notices, card);
  const watcher = new IntersectionObserver((seen) => seen.at(-1).isIntersecting && load(), { rootMargin: AHEAD });

  async function show(nextState, nextJob) {
    if (job && isOther(job, nextJob)) [listing] = [null, listings.clear()];
    [state, job] = [nextState, nextJob];
    const next = listings.of(state);
    if (next === listing) return;
    listing = next;
    changing(() => {
      notices.replaceChildren();
      list.show(listing, `Files in ${visible(state.path) || "the artifacts folder"}`);
      showEnd();
    });
    if (!listing.isKnown) await load();
    else watch();
  }

  /** Ask for more once the end comes near; anew after each page, or an end that stays near would not be told. */
  function watch() {
    watcher.unobserve(more);
    watcher.observe(more);
  }

  /** Ask for the next page of what is shown. */
  async function load() {
    const asked = listing;
    if (!asked.hasMore) return;
    counts.textContent = !asked.isKnown ? "Loading…" : counts.textContent;
    try {
      await asked.more(ending.signal);
    } catch (error) {
      if (error.name !== "AbortError" && asked === listing) showProblem(error);
      return;
    }
    if (asked !== listing) return;
    changing(() => {
      notices.replaceChildren();
      list.add(listing);
      showEnd();
    });
    watch();
    onMore();
  }

  function showEnd() {
    const isEmpty = listing.length === 0 && !listing.hasMore;
    bar.show(state, listing.prefix, id, isEmpty);
    list.element.hidden = listing.length === 0;
    more.hidden = !listing.hasMore || listing.length === 0;
    end.classList.toggle("empty", isEmpty);
    if (isEmpty) counts.textContent = emptyWords(job.artifact?.state, state);
    else counts.textContent = listing.length > 0 ? countWords(listing) : "";
  }

  async function moreByHand() {
    const known = listing.length;
    await load();
    list.focusAt(known);
  }

  function showProblem(error) {
    const plain = () => go({ order: "name", isDescending: false, search: "" }, { replace: true });
    const [words, onclick] = error.code === "TOO_LARGE" ? ["Show all by name", plain] : ["Try again", load];
    const act = h("button", { type: "button", onclick }, words);
    changing(() => {
      fail(problem("The files cannot be listed.", error.message, act));
      counts.textContent = "";
      more.hidden = true;
    });
  }

  /** If what has the focus goes by a change, the shown folder's name gets it: it is there even where no file is. */
  function changing(change) {
    keepFocus(element, bar.element, change, () => {
      const crumb = bar.element.querySelector("[aria-current]");
      crumb.setAttribute("tabindex", "-1");
      crumb.focus({ preventScroll: true });
    });
  }

  function fail(notice) {
    notices.replaceChildren(...nodes(notice));
  }

  /** The file `by` places from the file, null where there is none. */
  async function neighbour(file, by) {
    const at = listing.files.indexOf(file) + by;
    if (at >= listing.files.length && listing.hasMore) await load();
    return listing.files[at] ?? null;
  }

  function placeOf(file) {
    const index = listing.files.indexOf(file);
    return index < 0 ? null : { index, count: listing.files.length, hasMore: listing.hasMore };
  }

  function close() {
    ending.abort();
    watcher.disconnect();
  }

  return { element, show, neighbour, placeOf, focus: list.focus, fail, close };
}

/** Whether the job's files are not what they were: deleted, expired, or collected meanwhile. */
function isOther(before, now) {
  const told = ({ artifact }) => [artifact?.state, artifact?.totalCount, artifact?.totalSize].join();
  return told(before) !== told(now);
}
