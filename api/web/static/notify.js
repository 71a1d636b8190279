// Notifications: for screen readers, as a toast, in the network banner, and as error notices.

import { elementById, h, setText } from "./dom.js";

const TOAST_MS = 6000;

/** Have a screen reader read the text when it is idle. @param {string} text */
export function announce(text) {
  elementById("announcer").textContent = text;
}

/** Show a short confirmation for some seconds, and announce it. @param {string} text */
export function toast(text) {
  const element = h("p", { class: "toast" }, text);
  elementById("toasts").append(element);
  announce(text);
  setTimeout(() => element.remove(), TOAST_MS);
}

/** Show above the page that its data may be out of date, and why. @param {string} reason */
export function showNetworkError(reason) {
  setText(elementById("network"), `${reason} The data shown may be out of date. Retrying…`);
}

/** Hide the network banner. */
export function clearNetworkError() {
  setText(elementById("network"), "");
}

/**
 * An element that shows an error and what the user can do.
 * @param {string} title
 * @param {string} text
 * @param {...Child} actions
 */
export function errorNotice(title, text, ...actions) {
  return h(
    "div",
    { class: "notice bad", role: "alert" },
    h("p", { class: "notice-title" }, title),
    text && h("p", null, text),
    actions.some(Boolean) && h("div", { class: "actions" }, actions),
  );
}

/** A button "Retry". @param {() => unknown} retry */
export function retryButton(retry) {
  return h("button", { type: "button", onclick: () => retry() }, "Retry");
}
