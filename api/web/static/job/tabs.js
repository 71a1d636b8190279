// The job page's tabs: links between two addresses' panels that the arrow keys move between.

import { h } from "../dom.js";

/**
 * `tabs`: [{ name, label }]; `onChoose(name)`. Answers { element, panels, show(name), setDisabled(name, reason) }:
 * a tab with a reason cannot be chosen, can be read, and tells why.
 */
export function tabList(tabs, onChoose) {
  const buttons = new Map();
  const panels = new Map();
  for (const { name, label } of tabs) {
    const props = { id: `tab-${name}`, role: "tab", type: "button", class: "tab", "aria-controls": `panel-${name}` };
    buttons.set(name, h("button", { ...props, onclick: () => choose(name) }, label));
    panels.set(name, h("div", { id: `panel-${name}`, role: "tabpanel", "aria-labelledby": `tab-${name}`, class: "panel" }));
  }
  const list = [...buttons.values()];
  const element = h("div", { role: "tablist", "aria-label": "The job", class: "tab-list", onkeydown: move }, list);

  function choose(name) {
    if (buttons.get(name).ariaDisabled !== "true") onChoose(name);
  }

  function move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const at = list.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    list[(at + step + list.length) % list.length].focus();
  }

  function show(name) {
    for (const [each, button] of buttons) {
      button.ariaSelected = String(each === name);
      button.tabIndex = each === name ? 0 : -1;
      panels.get(each).hidden = each !== name;
    }
  }

  function setDisabled(name, reason) {
    const button = buttons.get(name);
    button.ariaDisabled = reason ? "true" : "false";
    button.title = reason;
    if (reason) button.setAttribute("aria-describedby", "tab-note");
    else button.removeAttribute("aria-describedby");
  }

  return { element, panels, show, setDisabled };
}
