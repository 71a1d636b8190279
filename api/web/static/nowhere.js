// An address that leads nowhere.

import { h } from "./dom.js";
import { link } from "./router.js";

export function nowhereView() {
  const element = h(
    "div",
    { class: "empty" },
    h("h1", null, "There is no such page"),
    h("p", { class: "muted" }, "The address may be mistyped, or shortened when it was copied."),
    link("/", { class: "button" }, "All jobs"),
  );
  return { element, title: "No such page" };
}
