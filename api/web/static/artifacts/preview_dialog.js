// The preview of a file: a dialog with its details and its content.

import { closest, h, toNodes } from "../dom.js";
import { isAbort, messageOf } from "../errors.js";
import { errorNotice, retryButton } from "../notify.js";
import { nameElement } from "../untrusted_text.js";
import { fileDetails } from "./file_details.js";
import { fetchFile } from "./listing.js";
import { fileUrl } from "./paths.js";
import { previewContent } from "./preview_content.js";

/**
 * `show(path)` opens the preview of a file; `show("")` closes it. `setPosition(position)` shows the file's position among
 * the listed files; null if it is not listed.
 * @param {object} options
 * @param {string} options.jobId
 * @param {(offset: 1 | -1) => void} options.onStep the user wants the next or previous file
 * @param {() => void} options.onClose
 * @param {(url: string) => void} options.onSave
 */
export function previewDialog({ jobId, onStep, onClose, onSave }) {
  const title = h("h2", { id: "preview-title", tabindex: "-1", autofocus: true });
  const positionText = h("span", { class: "muted small number" });
  const previous = stepButton("Previous", -1);
  const next = stepButton("Next", 1);
  const close = h("button", { type: "button", onclick: onClose }, "Close");
  const body = h("div", { class: "preview-body" });
  const notices = h("div");
  const announcer = h("div", { class: "visually-hidden", role: "status" });
  const steps = h("div", { class: "actions" }, positionText, previous, next, close);
  const header = h("header", { class: "preview-head" }, title, steps);
  const element = h(
    "dialog",
    { class: "preview", "aria-labelledby": "preview-title", onclose: onDialogClose, onclick: onClick },
    h("div", { class: "preview-frame" }, header, notices, body, announcer),
  );
  let path = "";
  let controller = new AbortController();

  /** @param {string} label @param {1 | -1} offset */
  function stepButton(label, offset) {
    const onclick = () => { if (button.ariaDisabled !== "true") onStep(offset); };
    const button = h("button", { type: "button", onclick }, label);
    return button;
  }

  /** The browser has closed the dialog: by Escape, or Android's "back". */
  function onDialogClose() {
    if (path) onClose();
  }

  /** @param {MouseEvent} event */
  function onClick(event) {
    const link = closest(event, "a[data-save]");
    if (event.target === element) onClose(); // a click beside the dialog
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    onSave(link.getAttribute("href") ?? "");
  }

  /** @param {string} nextPath */
  function show(nextPath) {
    if (nextPath === path) return;
    controller.abort();
    [path, controller] = [nextPath, new AbortController()];
    notices.replaceChildren();
    if (!path) return hide();
    title.replaceChildren(nameElement(path));
    load(path, controller.signal);
    if (element.open) return;
    document.body.append(element);
    element.showModal();
  }

  function hide() {
    element.close();
    element.remove();
  }

  /** @param {string} name @param {AbortSignal} signal */
  async function load(name, signal) {
    /** @param {...Child} children */
    const showBody = (...children) => {
      if (!signal.aborted) body.replaceChildren(...toNodes(children));
    };
    showBody(h("p", { class: "muted", role: "status" }, "Loading…"));
    try {
      const { prefix, file } = await fetchFile(jobId, name, signal);
      if (file) showBody(fileDetails(file, prefix, announce), previewContent(file, fileUrl(prefix, name), signal));
      else showBody(errorNotice("File not found.", "It is not among the job's artifacts, or has been removed."));
    } catch (error) {
      if (isAbort(error)) return;
      const retry = retryButton(() => load(name, signal));
      showBody(errorNotice("The file cannot be shown.", messageOf(error), retry));
    }
  }

  /** Announce within the dialog: screen readers ignore everything outside an open dialog. @param {string} text */
  function announce(text) {
    announcer.textContent = text;
  }

  /** @param {import("./folder_view.js").FilePosition | null} position */
  function setPosition(position) {
    const { index = 0, count = 0, hasMore = false } = position ?? {};
    positionText.textContent = position ? `${index + 1} of ${count}${hasMore ? " or more" : ""}` : "";
    setDisabled(previous, !position || index === 0);
    setDisabled(next, !position || (index === count - 1 && !hasMore));
  }

  return {
    show,
    setPosition,
    showNotice: (/** @type {Element} */ notice) => notices.replaceChildren(notice),
    get isOpen() {
      return element.open;
    },
  };
}

/**
 * Disable a button so that it keeps the focus of a user who steps by keyboard.
 * @param {Element} button
 * @param {boolean} isDisabled
 */
function setDisabled(button, isDisabled) {
  if (isDisabled) button.setAttribute("aria-disabled", "true");
  else button.removeAttribute("aria-disabled");
}
