// Dialogs: the browser's own, which keep the focus within and give it back. One is open at a time.

import { h } from "./dom.js";

/**
 * Ask something. `body`: nodes; `does`: the button's words; `isDanger`: whether it takes something away.
 * `run(form)` is called when the reader agrees; while it runs the button rests, and what it throws is told in the
 * dialog, which cannot be cancelled meanwhile and closes when it is done. What it answers is called then, when the focus
 * is where it was; not where the reader has left the dialog's place before.
 */
export function openDialog({ title, body, does, isDanger = false, run }) {
  const wrong = h("p", { class: "wrong", role: "alert" });
  const cancel = h("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  const agree = h("button", { class: isDanger ? "danger primary" : "primary" }, does);
  const send = async (event) => {
    event.preventDefault();
    wrong.textContent = "";
    rest(true);
    try {
      const then = await run(form);
      if (!dialog.open) return;
      dialog.close();
      then?.();
    } catch (error) {
      wrong.textContent = error.message;
    } finally {
      rest(false);
    }
  };
  const rest = (isBusy) => {
    for (const button of [agree, cancel]) button.disabled = isBusy;
  };
  const form = h(
    "form",
    { class: "dialog-body", onsubmit: send },
    h("h2", { id: "dialog-title" }, title),
    body,
    wrong,
    h("div", { class: "actions" }, cancel, agree), // in this order: where nothing is asked for, Enter alone does nothing
  );
  const dialog = h("dialog", {
    "aria-labelledby": "dialog-title",
    oncancel: (event) => { if (cancel.disabled) event.preventDefault(); },
    onclose: () => dialog.remove(),
  }, form);
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
