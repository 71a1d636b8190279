// Dialogs: the browser's own, which keep the focus within and give it back. One is open at a time.

import { h } from "./dom.js";

/**
 * Ask something. `body`: nodes; `does`: the button's words; `isDanger`: whether it takes something away.
 * `run(form)` is called when the reader agrees; while it runs the button rests, and what it throws is told in the
 * dialog, which closes when it is done. What it answers is called then, when the focus is where it was.
 */
export function openDialog({ title, body, does, isDanger = false, run }) {
  const wrong = h("p", { class: "wrong", role: "alert" });
  const cancel = h("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  const agree = h("button", { class: isDanger ? "danger primary" : "primary" }, does);
  const send = async (event) => {
    event.preventDefault();
    wrong.textContent = "";
    agree.disabled = true;
    try {
      const then = await run(form);
      dialog.close();
      then?.();
    } catch (error) {
      wrong.textContent = error.message;
    } finally {
      agree.disabled = false;
    }
  };
  const form = h(
    "form",
    { class: "dialog-body", onsubmit: send },
    h("h2", { id: "dialog-title" }, title),
    body,
    wrong,
    h("div", { class: "actions" }, cancel, agree), // in this order: where nothing is asked for, Enter alone does nothing
  );
  const dialog = h("dialog", { "aria-labelledby": "dialog-title", onclose: () => dialog.remove() }, form);
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
