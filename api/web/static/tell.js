// What a reader is told beside what is shown: by a screen reader alone, by a toast, or above everything.

import { h } from "./dom.js";

const TOAST_MS = 6000;

/** Say it to a screen reader, when it has time. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

/** Show a short word on what was done, for a while, and say it. */
export function toast(text) {
  const element = h("p", { class: "toast" }, text);
  document.getElementById("toasts").append(element);
  announce(text);
  setTimeout(() => element.remove(), TOAST_MS);
}

/** Tell above the page that what it shows is not being brought up to date; "" once it is again. */
export function tellNetwork(text) {
  const element = document.getElementById("network");
  if (element.textContent !== text) element.textContent = text;
}

/** An element that tells of an error, with what can be done about it. */
export function problem(title, text, ...actions) {
  return h(
    "div",
    { class: "notice bad", role: "alert" },
    h("p", { class: "notice-title" }, title),
    text && h("p", null, text),
    actions.length > 0 && h("div", { class: "actions" }, actions),
  );
}
