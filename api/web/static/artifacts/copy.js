// Buttons that copy a text, and say that they did.

import { h } from "../dom.js";

const SAID_MS = 2500;

/** A button, with `shown` on it, that copies `text()`. `label`: what that is; `tell(words)`: to a screen reader. */
export function copyButton(label, text, tell, shown = "Copy") {
  const words = h("span", null, shown);
  const button = h("button", { type: "button", class: "copy", "aria-label": `Copy ${label}`, onclick: copy }, words);
  let timer = 0;

  async function copy() {
    const isCopied = await write(text(), button);
    words.textContent = isCopied ? "Copied" : "Select and copy";
    tell(isCopied ? `Copied: ${label}` : `The browser does not let this page copy. Select the ${label} and copy it.`);
    clearTimeout(timer);
    timer = setTimeout(() => (words.textContent = shown), SAID_MS);
  }

  return button;
}

/** Whether the text is on the clipboard now. Without TLS browsers have no clipboard but that of a selection. */
async function write(text, near) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return writeSelected(text, near);
  }
}

/** In a field beside the button: outside of an open dialog nothing can be selected. */
function writeSelected(text, near) {
  const field = h("textarea", { class: "unseen", readonly: true, tabindex: "-1", "aria-hidden": "true" });
  field.value = text;
  near.after(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  near.focus();
  return isCopied;
}
