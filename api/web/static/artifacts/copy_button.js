// Buttons that copy a text to the clipboard.

import { h } from "../dom.js";

const FEEDBACK_MS = 2500;

/**
 * A button that copies `getText()` and shows whether that worked.
 * @param {string} label names the text, for screen readers
 * @param {() => string} getText
 * @param {(text: string) => void} announce
 * @param {string} [visibleLabel]
 */
export function copyButton(label, getText, announce, visibleLabel = "Copy") {
  const text = h("span", null, visibleLabel);
  const button = h("button", { type: "button", class: "copy", "aria-label": `Copy ${label}`, onclick: copy }, text);
  let timer = 0;

  async function copy() {
    const isCopied = await writeToClipboard(getText(), button);
    text.textContent = isCopied ? "Copied" : "Select and copy";
    announce(isCopied ? `Copied: ${label}` : `The browser blocked copying. Select the ${label} and copy it.`);
    clearTimeout(timer);
    timer = setTimeout(() => { text.textContent = visibleLabel; }, FEEDBACK_MS);
  }

  return button;
}

/**
 * Returns whether it worked. Without TLS browsers have no clipboard API, but can copy a selection.
 * @param {string} text
 * @param {HTMLElement} button
 */
async function writeToClipboard(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelection(text, button);
  }
}

/**
 * Select and copy the text in a field beside the button: outside an open dialog nothing can be selected.
 * @param {string} text
 * @param {HTMLElement} button
 */
function copySelection(text, button) {
  const field = h("textarea", { class: "visually-hidden", readonly: true, tabindex: "-1", "aria-hidden": "true" });
  field.value = text;
  button.after(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  button.focus();
  return isCopied;
}
