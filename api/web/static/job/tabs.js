// The job page's tabs. The arrow keys move between them.

import { h } from "../dom.js";

/**
 * `setDisabled(name, reason)`: a tab with a reason cannot be selected, but can be focused and shows the reason.
 * @param {{ name: string, label: string }[]} tabs
 * @param {(name: string) => void} onSelect
 */
export function tabList(tabs, onSelect) {
  const entries = new Map(tabs.map(({ name, label }) => [name, createTab(name, label)]));
  const buttons = [...entries.values()].map(({ button }) => button);
  const panels = [...entries.values()].map(({ panel }) => panel);
  const element = h("div", { role: "tablist", "aria-label": "Job", class: "tab-list", onkeydown: moveFocus }, buttons);

  /** @param {string} name @param {string} label */
  function createTab(name, label) {
    const props = { id: `tab-${name}`, role: "tab", type: "button", class: "tab", "aria-controls": `panel-${name}` };
    const onclick = () => { if (button.ariaDisabled !== "true") onSelect(name); };
    const button = h("button", { ...props, onclick }, label);
    const panel = h("div", { id: `panel-${name}`, role: "tabpanel", "aria-labelledby": `tab-${name}`, class: "panel" });
    return { button, panel };
  }

  /** @param {KeyboardEvent} event */
  function moveFocus(event) {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    const index = buttons.findIndex((button) => button === document.activeElement);
    if (!step || index < 0) return;
    event.preventDefault();
    buttons[(index + step + buttons.length) % buttons.length].focus();
  }

  /** @param {string} name */
  function entry(name) {
    const found = entries.get(name);
    if (!found) throw new Error(`no tab ${name}`);
    return found;
  }

  /** @param {string} selected */
  function show(selected) {
    for (const [name, { button, panel }] of entries) {
      button.ariaSelected = String(name === selected);
      button.tabIndex = name === selected ? 0 : -1;
      panel.hidden = name !== selected;
    }
  }

  /** @param {string} name @param {string} reason "" to enable the tab */
  function setDisabled(name, reason) {
    const { button } = entry(name);
    button.ariaDisabled = reason ? "true" : "false";
    button.title = reason;
    if (reason) button.setAttribute("aria-describedby", "tab-note");
    else button.removeAttribute("aria-describedby");
  }

  return { element, panels, panel: (/** @type {string} */ name) => entry(name).panel, show, setDisabled };
}
