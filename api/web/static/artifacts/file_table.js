// The table of files in a folder, which grows chunk by chunk. Browsers lay out only the chunks near the viewport
// (content-visibility), so that ten thousand rows are cheap. CSS cannot lay out such chunks as a table, so the roles
// are explicit.

import { closest, h, isPlainClick } from "../dom.js";
import { fileRow } from "./file_row.js";
import { ORDER_FIELDS } from "./tab_state.js";

/** @type {Record<SortOrder, string>} */
const LABELS = { name: "Name", size: "Size", time: "Modified" };
const INITIAL_CHUNKS = 5; // chunks to add before the browser can draw, for a new listing

/** @typedef {import("./listing.js").Listing} Listing */

/**
 * `show(listing, label)` replaces all rows, `add(listing)` appends the new chunks of the listing.
 * @param {object} handlers
 * @param {(order: SortOrder) => void} handlers.onSort
 * @param {(path: string) => void} handlers.onFolder
 * @param {(path: string) => void} handlers.onPreview
 * @param {(url: string) => void} handlers.onSave
 */
export function fileTable({ onSort, onFolder, onPreview, onSave }) {
  const orders = /** @type {SortOrder[]} */ (Object.keys(ORDER_FIELDS));
  const heads = orders.map((order) => ({ order, cell: sortableHead(order, onSort) }));
  const caption = h("caption", { class: "visually-hidden" });
  const table = h(
    "table",
    { class: "files", role: "table", onclick: onClick, onkeydown: (event) => { moveFocus(event, table); } },
    caption,
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads.map(({ cell }) => cell), actionsHead())),
  );
  let shownChunkCount = 0;
  /** @type {Listing | null} */
  let shownListing = null;

  /** Handles the clicks of all rows. @param {MouseEvent} event */
  function onClick(event) {
    const link = closest(event, "a");
    if (!(link instanceof HTMLElement) || !isPlainClick(event)) return;
    const { folder, preview, save } = link.dataset;
    if (folder !== undefined) onFolder(folder);
    else if (preview !== undefined) onPreview(preview);
    else if (save !== undefined) onSave(link.getAttribute("href") ?? "");
    else return;
    event.preventDefault();
  }

  /** @param {Listing} listing @param {string} label */
  function show(listing, label) {
    caption.textContent = label;
    for (const { order, cell } of heads) setSort(cell, order, listing.state);
    for (const body of [...table.tBodies]) body.remove();
    [shownChunkCount, shownListing] = [0, listing];
    add(listing, INITIAL_CHUNKS);
  }

  /** @param {Listing} listing */
  async function add(listing, chunksPerTask = 1) {
    for (let count = 1; shownListing === listing && shownChunkCount < listing.chunks.length; count += 1) {
      table.append(chunkBody(listing.chunks[shownChunkCount], listing));
      shownChunkCount += 1;
      if (count % chunksPerTask === 0) await new Promise((resolve) => { setTimeout(resolve); });
    }
  }

  /** Focus the row of a file if it is shown. @param {string} name */
  function focusFile(name) {
    const rows = [...table.tBodies].flatMap((body) => [...body.rows]);
    const row = rows.find(({ dataset }) => dataset.name === name);
    /** @type {HTMLElement | null | undefined} */ (row?.querySelector("th a"))?.focus();
  }

  /** @param {number} index */
  function focusRow(index) {
    rowLinks(table)[index]?.focus();
  }

  return { element: table, show, add, focusFile, focusRow };
}

/** @param {FileNode[]} chunk @param {Listing} listing */
function chunkBody(chunk, listing) {
  const body = h("tbody", { role: "rowgroup" }, chunk.map((node) => fileRow(node, listing)));
  body.style.setProperty("--rows", String(chunk.length));
  return body;
}

/** @param {SortOrder} order @param {(order: SortOrder) => void} onSort */
function sortableHead(order, onSort) {
  const button = h("button", { type: "button", class: "plain", onclick: () => onSort(order) }, LABELS[order]);
  return h("th", { role: "columnheader", scope: "col", class: order }, button);
}

function actionsHead() {
  return h("th", { role: "columnheader", scope: "col" }, h("span", { class: "visually-hidden" }, "Actions"));
}

/** @param {Element} head @param {SortOrder} order @param {FolderState} state */
function setSort(head, order, state) {
  if (state.order !== order) head.removeAttribute("aria-sort");
  else head.setAttribute("aria-sort", state.isDescending ? "descending" : "ascending");
}

/**
 * Arrow keys move from name to name, Home and End to the first and last.
 * @param {KeyboardEvent} event
 * @param {Element} table
 */
function moveFocus(event, table) {
  const link = closest(event, "tbody th > a");
  if (!link || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const links = rowLinks(table);
  const index = links.findIndex((each) => each === link);
  const targets = new Map([["ArrowDown", index + 1], ["ArrowUp", index - 1], ["Home", 0], ["End", links.length - 1]]);
  const target = targets.get(event.key);
  if (target === undefined) return;
  event.preventDefault();
  links[target]?.focus();
}

/** @param {Element} table @returns {HTMLAnchorElement[]} */
function rowLinks(table) {
  return [...table.querySelectorAll("tbody th > a")].filter((link) => link instanceof HTMLAnchorElement);
}
