// The bar above the list of files: breadcrumbs, search, and the folder as a ZIP.

import { h, isPlainClick } from "../dom.js";
import { announce } from "../notify.js";
import { escapeName, nameElement } from "../untrusted_text.js";
import { copyButton } from "./copy_button.js";
import { curlCommand } from "./curl.js";
import { saveLink } from "./file_row.js";
import { baseName, parentsOf, zipUrl } from "./paths.js";
import { formatTabState } from "./tab_state.js";

const TYPING_PAUSE_MS = 250;

/**
 * @param {object} handlers
 * @param {(path: string) => void} handlers.onFolder
 * @param {(text: string) => void} handlers.onSearch
 * @param {(url: string) => void} handlers.onSave
 */
export function folderBar({ onFolder, onSearch, onSave }) {
  const crumbs = h("ol", { class: "crumbs" });
  const field = h("input", {
    type: "search", id: "artifact-search", autocomplete: "off", spellcheck: "false", oninput: onInput,
  });
  const label = h("label", { for: "artifact-search", class: "visually-hidden" });
  const downloads = h("div", { class: "actions" });
  const element = h(
    "div",
    { class: "folder-bar" },
    h("nav", { "aria-label": "Folders" }, crumbs),
    h("form", { role: "search", onsubmit: onSubmit }, label, field),
    downloads,
  );
  let timer = 0;
  let lastSearch = ""; // the search that the list shows, from the field or from the address

  function onInput() {
    clearTimeout(timer);
    timer = setTimeout(() => element.isConnected && search(), TYPING_PAUSE_MS);
  }

  /** @param {SubmitEvent} event */
  function onSubmit(event) {
    event.preventDefault();
    search();
  }

  function search() {
    clearTimeout(timer);
    lastSearch = field.value;
    onSearch(lastSearch);
  }

  /**
   * Show a search that did not come from the field, for example after "back". A search that did is left alone: the user
   * may have continued to type.
   * @param {string} text
   */
  function showSearch(text) {
    if (text === lastSearch) return;
    clearTimeout(timer);
    field.value = lastSearch = text;
  }

  /**
   * @param {FolderState} state
   * @param {string} prefix the job folder; "" if it is not known yet
   * @param {string} job the job's id
   * @param {boolean} isEmpty
   */
  function show(state, prefix, job, isEmpty) {
    crumbs.replaceChildren(...crumbItems(state.path, onFolder));
    const text = state.path ? `Search in ${escapeName(baseName(state.path))}` : "Search all files";
    label.textContent = text;
    field.placeholder = text;
    showSearch(state.search);
    downloads.replaceChildren(...(prefix && !isEmpty ? zipActions(state.path, prefix, job, onSave) : []));
  }

  return { element, show };
}

/**
 * @param {string} path
 * @param {(path: string) => void} onFolder
 */
function crumbItems(path, onFolder) {
  const folders = [{ name: "All files", path: "" }, ...parentsOf(path)];
  return folders.map(({ name, path: target }, index) => {
    const label = index === 0 ? name : nameElement(name);
    if (index === folders.length - 1) return h("li", null, h("span", { "aria-current": "location" }, label));
    const query = formatTabState({ path: target, order: "name", isDescending: false, search: "", file: "" });
    const onclick = (/** @type {MouseEvent} */ event) => onPlainClick(event, () => onFolder(target));
    return h("li", null, h("a", { href: `?${query}`, onclick }, label));
  });
}

/**
 * @param {string} path
 * @param {string} prefix
 * @param {string} job
 * @param {(url: string) => void} onSave
 */
function zipActions(path, prefix, job, onSave) {
  const url = zipUrl(prefix, path);
  const fileName = path ? `${job}-${baseName(path).slice(0, -1)}.zip` : `${job}.zip`;
  const onclick = (/** @type {MouseEvent} */ event) => onPlainClick(event, () => onSave(url));
  const link = saveLink(url, path ? "Download folder (ZIP)" : "Download all (ZIP)", { class: "button", onclick });
  const command = () => curlCommand(location.origin, url, fileName);
  return [link, copyButton("curl command for the ZIP", command, announce, "Copy curl")];
}

/** @param {MouseEvent} event @param {() => void} action */
function onPlainClick(event, action) {
  if (!isPlainClick(event)) return;
  event.preventDefault();
  action();
}
