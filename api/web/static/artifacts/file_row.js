// A row of the table of files: a file or a folder.

import { h } from "../dom.js";
import { formatBytes, timeElement } from "../format.js";
import { escapeName, nameElement } from "../untrusted_text.js";
import { canOpenInBrowser } from "./file_types.js";
import { fileUrl, isFolder, zipUrl } from "./paths.js";
import { formatTabState } from "./tab_state.js";

const HEADER = { role: "rowheader", scope: "row" };

/**
 * The row for a node of a listing. The table handles the clicks, so rows have no listeners: a link has `data-folder`,
 * `data-preview` or, if its target is saved, `data-save`.
 * @param {FileNode} node
 * @param {{ state: FolderState, prefix: string }} listing
 */
export function fileRow(node, { state, prefix }) {
  const name = node.name.slice(state.path.length);
  const cells = isFolder(node.name) ? folderCells(node, name, prefix) : fileCells(node, name, state, prefix);
  return h("tr", { role: "row", "data-name": node.name }, cells);
}

/**
 * @param {FileNode} node
 * @param {string} name
 * @param {string} prefix
 */
function folderCells(node, name, prefix) {
  const zip = saveLink(zipUrl(prefix, node.name), "ZIP", { "aria-label": `ZIP of ${escapeName(name)}` });
  const query = formatTabState({ path: node.name, order: "name", isDescending: false, search: "", file: "" });
  return [
    h("th", HEADER, h("a", { href: `?${query}`, "data-folder": node.name }, nameElement(name))),
    h("td", { role: "cell", class: "size muted" }, "Folder"),
    h("td", { role: "cell", class: "time" }),
    h("td", { role: "cell", class: "row-actions" }, zip),
  ];
}

/**
 * @param {FileNode} node
 * @param {string} name
 * @param {FolderState} state
 * @param {string} prefix
 */
function fileCells(node, name, state, prefix) {
  const escaped = escapeName(name);
  const query = formatTabState({ ...state, file: node.name });
  const preview = { href: `?${query}`, "data-preview": node.name, "aria-label": `Preview ${escaped}` };
  return [
    h("th", HEADER, openLink(prefix, node.name, nameElement(name))),
    h("td", { role: "cell", class: "size number" }, formatBytes(node.size)),
    h("td", { role: "cell", class: "time number" }, timeElement(node.lastModified)),
    h(
      "td",
      { role: "cell", class: "row-actions" },
      h("a", preview, "Preview"),
      saveLink(fileUrl(prefix, node.name, { download: true }), "Download", { "aria-label": `Download ${escaped}` }),
    ),
  ];
}

/**
 * A link that opens the file in a new tab, or saves it if the browser cannot show it.
 * @param {string} prefix
 * @param {string} path
 * @param {...Child} children
 */
export function openLink(prefix, path, ...children) {
  if (!canOpenInBrowser(path)) return saveLink(fileUrl(prefix, path, { download: true }), children);
  const hint = h("span", { class: "visually-hidden" }, " (in a new tab)");
  return h("a", { href: fileUrl(prefix, path), target: "_blank", rel: "noopener" }, children, hint);
}

/**
 * A link whose target is saved.
 * @param {string} url
 * @param {Child} label
 * @param {Props} [props]
 */
export function saveLink(url, label, props = {}) {
  return h("a", { href: url, "data-save": true, ...props }, label);
}
