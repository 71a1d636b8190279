// The filters of the list of jobs. They are in the address, so that a filtered list can be linked to.

import { h } from "../dom.js";
import { PHASE_OPTIONS } from "../job_status.js";
import { escapeName } from "../untrusted_text.js";

const TYPING_PAUSE_MS = 300;

/**
 * `show(params)` shows the filters of an address, `addGroups(groups)` adds options.
 * @param {string[]} userGroups
 * @param {(changes: Record<string, string>, isTyping?: boolean) => void} onChange
 */
export function jobFilters(userGroups, onChange) {
  let timer = 0;
  const search = h("input", {
    id: "search", type: "search", placeholder: "Name or ID", autocomplete: "off", spellcheck: "false", oninput: onInput,
  });
  const state = h(
    "select",
    { id: "state", onchange: () => { apply({ state: state.value }); } },
    h("option", { value: "" }, "All states"),
    PHASE_OPTIONS.map(([phase, label]) => h("option", { value: phase }, label)),
  );
  const group = h("select", { id: "group", onchange: () => { apply({ group: group.value }); } },
    h("option", { value: "" }, "All groups"));
  const groupField = field("Group", group);
  const element = h(
    "form",
    { class: "filters", role: "search", "aria-label": "Jobs", onsubmit: (event) => event.preventDefault() },
    field("Search", search),
    field("State", state),
    groupField,
  );

  function onInput() {
    clearTimeout(timer);
    timer = setTimeout(() => element.isConnected && onChange({ search: search.value }, true), TYPING_PAUSE_MS);
  }

  /** Includes the search text, which the address may not have yet. @param {Record<string, string>} changes */
  function apply(changes) {
    clearTimeout(timer);
    onChange({ ...changes, search: search.value });
  }

  /** Add the groups of listed jobs: administrators see more groups than their own. @param {(string | null)[]} groups */
  function addGroups(groups) {
    const existing = new Set([...group.options].map((option) => option.value));
    for (const name of new Set(groups)) {
      if (name && !existing.has(name)) group.append(h("option", { value: name }, escapeName(name)));
    }
    groupField.hidden = group.options.length < 3 && !group.value;
  }

  /** @param {URLSearchParams} params */
  function show(params) {
    clearTimeout(timer); // the address has changed and replaces what was being typed
    addGroups([params.get("group"), ...userGroups]);
    state.value = params.get("state") ?? "";
    group.value = params.get("group") ?? "";
    search.value = params.get("search") ?? "";
    groupField.hidden = group.options.length < 3 && !group.value;
  }

  return { element, show, addGroups };
}

/** @param {string} label @param {HTMLElement} control */
function field(label, control) {
  return h("div", { class: "field" }, h("label", { for: control.id, class: "small" }, label), control);
}
