// A row of the list: a file, or a folder.

import { h } from "../dom.js";
import { bytes, time } from "../format.js";
import { shown, visible } from "../names.js";
import { isShown } from "./kinds.js";
import { fileUrl, isFolder, zipUrl } from "./paths.js";
import { writeState } from "./state.js";

const HEADER = { role: "rowheader", scope: "row" };

/**
 * The row of a node of the listing. Links that change what the tab shows have `data-go` (a folder, or a file to be
 * previewed); those to something that is saved have `data-save`. The list listens, so that a row has no listener.
 */
export function fileRow(node, { state, prefix }) {
  const name = node.name.slice(state.path.length);
  const cells = isFolder(node.name) ? folderCells(node, name, prefix) : fileCells(node, name, state, prefix);
  return h("tr", { role: "row", "data-name": node.name }, cells);
}

function folderCells(node, name, prefix) {
  const zip = saveLink(zipUrl(prefix, node.name), "ZIP", { "aria-label": `ZIP of ${visible(name)}` });
  return [
    h("th", HEADER, goLink({ path: node.name }, "path", node.name, shown(name))),
    h("td", { role: "cell", class: "size muted" }, "Folder"),
    h("td", { role: "cell", class: "time" }),
    h("td", { role: "cell", class: "acts" }, zip),
  ];
}

function fileCells(node, name, state, prefix) {
  const said = visible(name);
  const file = { ...state, file: node.name };
  return [
    h("th", HEADER, openLink(prefix, node.name, shown(name))),
    h("td", { role: "cell", class: "size number" }, bytes(node.size)),
    h("td", { role: "cell", class: "time number" }, time(node.lastModified)),
    h(
      "td",
      { role: "cell", class: "acts" },
      goLink(file, "file", node.name, "Preview", { "aria-label": `Preview ${said}` }),
      saveLink(fileUrl(prefix, node.name, { download: true }), "Download", { "aria-label": `Download ${said}` }),
    ),
  ];
}

/** To the file as the API serves it: in a tab of its own, or, where the browser cannot show it, saved. */
export function openLink(prefix, path, ...children) {
  if (!isShown(path)) return saveLink(fileUrl(prefix, path, { download: true }), children);
  const hint = h("span", { class: "unseen" }, " (in a new tab)");
  return h("a", { href: fileUrl(prefix, path), target: "_blank", rel: "noopener" }, children, hint);
}

/** To another state of the tab, in which its part `key` is `value`. */
function goLink(state, key, value, label, props = {}) {
  const query = writeState({ path: "", order: "name", isDescending: false, search: "", file: "", ...state });
  return h("a", { href: `?${query}`, "data-go": key, "data-value": value, ...props }, label);
}

/** To something that is saved. */
export function saveLink(url, label, props = {}) {
  return h("a", { href: url, "data-save": true, ...props }, label);
}
