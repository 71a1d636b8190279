// Above the list: where one is, search, and all of the folder as a ZIP.

import { h } from "../dom.js";
import { shown, visible } from "../names.js";
import { announce } from "../tell.js";
import { curlLine } from "./curl.js";
import { copyButton } from "./copy.js";
import { baseName, crumbsOf, zipUrl } from "./paths.js";
import { saveLink } from "./row.js";
import { writeState } from "./state.js";

const TYPING_MS = 250;

/** `onFolder(path)`, `onSearch(text)`, `onSave(url)`. Answers { element, show(state, prefix, job, isEmpty) }. */
export function folderBar({ onFolder, onSearch, onSave }) {
  const crumbs = h("ol", { class: "crumbs" });
  const plain = { autocomplete: "off", spellcheck: "false" };
  const field = h("input", { type: "search", id: "artifact-search", ...plain, oninput: typed });
  const label = h("label", { for: "artifact-search", class: "unseen" });
  const downloads = h("div", { class: "actions" });
  const element = h(
    "div",
    { class: "folder-bar" },
    h("nav", { "aria-label": "Folders" }, crumbs),
    h("form", { role: "search", onsubmit: submitted }, label, field),
    downloads,
  );
  let timer = 0;
  let searched = ""; // what the list was last searched for, by the field or by the address

  function typed() {
    clearTimeout(timer);
    timer = setTimeout(() => element.isConnected && search(), TYPING_MS);
  }

  function submitted(event) {
    event.preventDefault();
    search();
  }

  function search() {
    clearTimeout(timer);
    searched = field.value;
    onSearch(searched);
  }

  /** In the field, where it did not come from there, as after "back"; else the reader may have typed on meanwhile. */
  function showSearch(text) {
    if (text === searched) return;
    clearTimeout(timer);
    field.value = searched = text;
  }

  function show(state, prefix, job, isEmpty) {
    crumbs.replaceChildren(...crumbItems(state.path, onFolder));
    const where = state.path ? `Search in ${visible(baseName(state.path))}` : "Search all files";
    label.textContent = where;
    field.placeholder = where;
    showSearch(state.search);
    downloads.replaceChildren(...(prefix && !isEmpty ? zipActions(state.path, prefix, job, onSave) : []));
  }

  return { element, show };
}

function crumbItems(path, onFolder) {
  const crumbs = [{ name: "All files", path: "" }, ...crumbsOf(path)];
  return crumbs.map(({ name, path: to }, index) => {
    const words = index === 0 ? name : shown(name);
    if (index === crumbs.length - 1) return h("li", null, h("span", { "aria-current": "location" }, words));
    const query = writeState({ path: to, order: "name", isDescending: false, search: "", file: "" });
    return h("li", null, h("a", { href: `?${query}`, onclick: (event) => follow(event, () => onFolder(to)) }, words));
  });
}

function zipActions(path, prefix, job, onSave) {
  const url = zipUrl(prefix, path);
  const name = path ? `${job}-${baseName(path).slice(0, -1)}.zip` : `${job}.zip`;
  const onclick = (event) => follow(event, () => onSave(url));
  const link = saveLink(url, path ? "Download folder (ZIP)" : "Download all (ZIP)", { class: "button", onclick });
  const line = () => curlLine(location.origin, url, name);
  return [link, copyButton("curl line for the ZIP", line, announce, "Copy curl")];
}

function follow(event, act) {
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  act();
}
