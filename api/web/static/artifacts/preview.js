// The preview of a file: a dialog with what is known of the file, and its content.

import { h, nodes } from "../dom.js";
import { shown } from "../names.js";
import { problem } from "../tell.js";
import { contentOf } from "./content.js";
import { factsOf } from "./facts.js";
import { askFile } from "./listing.js";
import { fileUrl } from "./paths.js";

/**
 * `job`: its id. `onStep(by)`: the reader wants the file before (-1) or behind (1); `onClose()`: none; `onSave(url)`.
 * Answers { show(path), place(found), fail(...), isOpen }: `show("")` closes it. `found`: {index, count,
 * hasMore} among the files of the list, null where the list does not have the file. `fail(notice)`: tell in it.
 */
export function filePreview({ job, onStep, onClose, onSave }) {
  const title = h("h2", { id: "preview-title", tabindex: "-1", autofocus: true });
  const position = h("span", { class: "muted small number" });
  const [before, behind] = [stepButton("Previous", -1), stepButton("Next", 1)];
  const close = h("button", { type: "button", onclick: onClose }, "Close");
  const body = h("div", { class: "preview-body" });
  const failure = h("div");
  const said = h("div", { class: "unseen", role: "status" });
  const steps = h("div", { class: "actions" }, position, before, behind, close);
  const head = h("header", { class: "preview-head" }, title, steps);
  const element = h(
    "dialog",
    { class: "preview", "aria-labelledby": "preview-title", onclose: closed, onclick: clicked },
    h("div", { class: "preview-frame" }, head, failure, body, said),
  );
  let [path, loading] = ["", new AbortController()];

  function stepButton(words, by) {
    const onclick = (event) => event.currentTarget.ariaDisabled === "true" || onStep(by);
    return h("button", { type: "button", onclick }, words);
  }

  /** By the browser: Escape, or Android's "back". */
  function closed() {
    if (path) onClose();
  }

  function clicked(event) {
    const link = event.target.closest("a[data-save]");
    if (event.target === element) onClose();
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    onSave(link.getAttribute("href"));
  }

  function show(next) {
    if (next === path) return;
    [path, loading] = [next, (loading.abort(), new AbortController())];
    failure.replaceChildren();
    if (!path) return hide();
    title.replaceChildren(shown(path));
    load(path, loading.signal);
    if (element.open) return;
    document.body.append(element);
    element.showModal();
  }

  function hide() {
    element.close();
    element.remove();
  }

  async function load(name, signal) {
    const tell = (...children) => signal.aborted || body.replaceChildren(...nodes(children));
    tell(h("p", { class: "muted", role: "status" }, "Loading…"));
    try {
      const { prefix, file } = await askFile(job, name, signal);
      if (file) tell(factsOf(file, prefix, say), contentOf(file, fileUrl(prefix, name), signal));
      else tell(problem("There is no such file.", "It is not among the job's artifacts, or not any more."));
    } catch (error) {
      if (error.name === "AbortError") return;
      const again = h("button", { type: "button", onclick: () => load(name, signal) }, "Try again");
      tell(problem("The file cannot be shown.", error.message, again));
    }
  }

  function say(words) {
    said.textContent = words;
  }

  function place(found) {
    position.textContent = found ? `${found.index + 1} of ${found.count}${found.hasMore ? " or more" : ""}` : "";
    setOff(before, !found || found.index === 0);
    setOff(behind, !found || (found.index === found.count - 1 && !found.hasMore));
  }

  return {
    show,
    place,
    fail: (notice) => failure.replaceChildren(notice),
    get isOpen() {
      return element.open;
    },
  };
}

/** A button that is off keeps the focus, so that a reader who steps by keyboard does not lose the place. */
function setOff(button, isOff) {
  if (isOff) button.setAttribute("aria-disabled", "true");
  else button.removeAttribute("aria-disabled");
}
