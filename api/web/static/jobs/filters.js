// The list's filters: each is in the address, so that a narrowed list can be linked to and gone back to.

import { h } from "../dom.js";
import { visible } from "../names.js";
import { PHASE_WORDS } from "../phase.js";

const TYPING_MS = 300;

/** Answers { element, show(params), offer(groups) }. `onChange(changes, isTyping)` is told what the reader chooses. */
export function filters(groups, onChange) {
  let typing = 0;
  const search = h("input", {
    id: "search", type: "search", placeholder: "Name or id", autocomplete: "off", spellcheck: "false", oninput: typed,
  });
  const state = h(
    "select",
    { id: "state", onchange: () => choose({ state: state.value }) },
    h("option", { value: "" }, "Any state"),
    PHASE_WORDS.map(([phase, word]) => h("option", { value: phase }, word)),
  );
  const group = h("select", { id: "group", onchange: () => choose({ group: group.value }) },
    h("option", { value: "" }, "All groups"));
  const groupField = field("Group", group);
  const element = h(
    "form",
    { class: "filters", role: "search", "aria-label": "Jobs", onsubmit: (event) => event.preventDefault() },
    field("Search", search),
    field("State", state),
    groupField,
  );

  function typed() {
    clearTimeout(typing);
    typing = setTimeout(() => element.isConnected && onChange({ search: search.value }, true), TYPING_MS);
  }

  /** With what was typed meanwhile, which the address does not have yet. */
  function choose(changes) {
    clearTimeout(typing);
    onChange({ ...changes, search: search.value });
  }

  /** Adds groups that the list has shown: an administrator's are more than are known beforehand. */
  function offer(names) {
    const known = new Set([...group.options].map((option) => option.value));
    for (const name of new Set(names)) {
      if (name && !known.has(name)) group.append(h("option", { value: name }, visible(name)));
    }
    groupField.hidden = group.options.length < 3 && !group.value;
  }

  function show(params) {
    clearTimeout(typing); // the address has changed: what it says is shown
    offer([params.get("group"), ...groups]);
    for (const [control, name] of [[state, "state"], [group, "group"]]) control.value = params.get(name) ?? "";
    search.value = params.get("search") ?? "";
    groupField.hidden = group.options.length < 3 && !group.value;
  }

  return { element, show, offer };
}

function field(text, control) {
  return h("div", { class: "field" }, h("label", { for: control.id, class: "small" }, text), control);
}
