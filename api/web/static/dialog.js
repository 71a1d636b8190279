// Modal dialogs with a form. They use <dialog>, which traps the focus and restores it. Only one is open at a time.

import { h } from "./dom.js";
import { messageOf } from "./errors.js";

/**
 * Open a dialog. `run(form)` is called when the user confirms; meanwhile the dialog cannot be cancelled. If `run` throws,
 * the dialog shows the error. Otherwise the dialog closes and restores the focus, and then the function that `run`
 * returned is called, unless the user has navigated away.
 * @param {object} options
 * @param {string} options.title
 * @param {Child} options.body
 * @param {string} options.confirmLabel
 * @param {string} [options.dismissLabel]
 * @param {boolean} [options.isDanger] whether the action deletes or stops something
 * @param {(form: HTMLFormElement) => Promise<() => void>} options.run
 */
export function openDialog({ title, body, confirmLabel, dismissLabel = "Cancel", isDanger = false, run }) {
  const errorText = h("p", { class: "form-error", role: "alert" });
  const dismiss = h("button", { type: "button", onclick: () => { dialog.close(); } }, dismissLabel);
  const confirm = h("button", { class: isDanger ? "danger primary" : "primary" }, confirmLabel);
  const submit = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    errorText.textContent = "";
    setBusy(true);
    try {
      const afterClose = await run(form);
      if (!dialog.open) return;
      dialog.close();
      afterClose();
    } catch (error) {
      errorText.textContent = messageOf(error);
    } finally {
      setBusy(false);
    }
  };
  const setBusy = (/** @type {boolean} */ isBusy) => {
    for (const button of [confirm, dismiss]) button.disabled = isBusy;
  };
  const form = h(
    "form",
    { class: "dialog-body", onsubmit: submit },
    h("h2", { id: "dialog-title" }, title),
    body,
    errorText,
    h("div", { class: "actions" }, dismiss, confirm), // dismiss first: it gets the initial focus if the body has no field
  );
  const dialog = h("dialog", {
    "aria-labelledby": "dialog-title",
    oncancel: (event) => { if (dismiss.disabled) event.preventDefault(); },
    onclose: () => { dialog.remove(); },
  }, form);
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
