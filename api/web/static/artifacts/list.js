// The list of a folder's files: a table that grows part by part.
//
// A part is laid out by the browser only near where one looks (content-visibility), so that ten thousand rows cost
// little. Such parts cannot be laid out as a table's; roles tell what they are.

import { h } from "../dom.js";
import { fileRow } from "./row.js";
import { ORDERS } from "./state.js";

const LABELS = { name: "Name", size: "Size", time: "Modified" };
const AT_ONCE = 5; // parts that are put into the table before the browser gets to draw, when a list is shown anew

/**
 * `onSort(order)`, `onGo({path} or {file})`, `onSave(url)`. Answers { element, show(listing, label), add(listing),
 * focus(name), focusAt(index) }: `show` begins anew, `add` appends the parts that are not shown yet.
 */
export function fileList({ onSort, onGo, onSave }) {
  const heads = Object.fromEntries(Object.keys(ORDERS).map((order) => [order, columnHead(order, onSort)]));
  const caption = h("caption", { class: "unseen" });
  const table = h(
    "table",
    { class: "files", role: "table", onclick: clicked, onkeydown: (event) => step(event, table) },
    caption,
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, Object.values(heads), actionsHead())),
  );
  let shownParts = 0;
  let filling = null;

  function clicked(event) {
    const link = event.target.closest("a");
    if (!link || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const { go, value, save } = link.dataset;
    if (go === undefined && save === undefined) return;
    event.preventDefault();
    if (go === undefined) onSave(link.getAttribute("href"));
    else onGo({ [go]: value });
  }

  function show(listing, label) {
    caption.textContent = label;
    for (const [order, head] of Object.entries(heads)) setSort(head, order, listing.state);
    for (const body of [...table.tBodies]) body.remove();
    [shownParts, filling] = [0, listing];
    add(listing, AT_ONCE);
  }

  async function add(listing, atOnce = 1) {
    for (let count = 1; filling === listing && shownParts < listing.parts.length; count += 1) {
      table.append(partBody(listing.parts[shownParts], listing));
      shownParts += 1;
      if (count % atOnce === 0) await new Promise((resolve) => setTimeout(resolve));
    }
  }

  /** Focus the row of that name, where it is shown. */
  function focus(name) {
    const row = [...table.tBodies].flatMap((body) => [...body.rows]).find((each) => each.dataset.name === name);
    row?.querySelector("th a").focus();
  }

  /** Focus the row of that number. */
  function focusAt(index) {
    rowLinks(table)[index]?.focus();
  }

  return { element: table, show, add, focus, focusAt };
}

function partBody(part, listing) {
  const body = h("tbody", { role: "rowgroup" }, part.map((node) => fileRow(node, listing)));
  body.style.setProperty("--rows", part.length);
  return body;
}

function columnHead(order, onSort) {
  const button = h("button", { type: "button", class: "plain", onclick: () => onSort(order) }, LABELS[order]);
  return h("th", { role: "columnheader", scope: "col", class: order }, button);
}

function actionsHead() {
  return h("th", { role: "columnheader", scope: "col" }, h("span", { class: "unseen" }, "Actions"));
}

function setSort(head, order, state) {
  if (state.order !== order) head.removeAttribute("aria-sort");
  else head.setAttribute("aria-sort", state.isDescending ? "descending" : "ascending");
}

/** Arrow keys lead from name to name, Home and End to the first and last. */
function step(event, table) {
  const at = event.target.closest("tbody th > a");
  if (!at || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const links = rowLinks(table);
  const now = links.indexOf(at);
  const next = { ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: links.length - 1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  links[next]?.focus();
}

function rowLinks(table) {
  return [...table.querySelectorAll("tbody th > a")];
}
