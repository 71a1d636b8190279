// The view for addresses that no route matches.

import { h } from "./dom.js";
import { link } from "./router.js";

/** @returns {View} */
export function notFoundView() {
  const element = h(
    "div",
    { class: "empty" },
    h("h1", null, "Page not found"),
    h("p", { class: "muted" }, "The address may be mistyped or incomplete."),
    link("/", { class: "button" }, "All jobs"),
  );
  return { element, title: "Page not found" };
}
