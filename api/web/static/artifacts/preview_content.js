// The content of a file in its preview: how much of it is loaded, and how it is displayed.

import { h, toNodes } from "../dom.js";
import { hasCode, isAbort, messageOf } from "../errors.js";
import { formatBytes } from "../format.js";
import { errorNotice, retryButton } from "../notify.js";
import { escapeName } from "../untrusted_text.js";
import { decode } from "./decode.js";
import { readRange } from "./downloads.js";
import { fileType } from "./file_types.js";
import { baseName } from "./paths.js";
import { note, renderImage, renderJson, renderTable, renderText } from "./renderers.js";

const MAX_WHOLE_BYTES = 1024 * 1024; // of a larger file, a part is loaded if the user asks for it
const PART_BYTES = 256 * 1024;
const SAMPLE_BYTES = 4096; // of a large file, to detect whether it is text
const MAX_IMAGE_BYTES = 16 * 1024 * 1024; // a larger image is loaded if the user asks for it
const BINARY = "This file is not text and cannot be shown here. Download it instead.";

/** Renderers besides plain text, for files that are read from their start. */
const RENDERERS = {
  json: { render: renderJson, labels: ["as indented JSON", "as plain text"] },
  table: { render: renderTable, labels: ["as a table", "as plain text"] },
};

/** @typedef {{ isStart: boolean, isEnd: boolean }} Part the part of a file that was loaded */

/**
 * An element that shows the content of a file. `signal` aborts the loading.
 * @param {FileDetails} file
 * @param {string} url
 * @param {AbortSignal} signal
 */
export function previewContent({ name, size }, url, signal) {
  const element = h("div", { class: "preview-content" });
  const type = fileType(name);

  /** @param {...Child} children */
  function show(...children) {
    if (!signal.aborted) element.replaceChildren(...toNodes(children));
  }

  function start() {
    if (size === 0) return show(note("This file is empty."));
    if (type === "image") return size > MAX_IMAGE_BYTES ? offerImage() : showImage();
    return load(size > MAX_WHOLE_BYTES ? showChoices : showWhole);
  }

  /** Show that content is loading, and the error with a retry if it fails. @param {() => Promise<void>} loadContent */
  async function load(loadContent) {
    show(h("p", { class: "muted", role: "status" }, "Loading…"));
    try {
      await loadContent();
    } catch (error) {
      if (isAbort(error)) return;
      const retry = !hasCode(error, "EXPIRED") && retryButton(() => load(loadContent));
      show(errorNotice("The file cannot be shown.", messageOf(error), retry));
    }
  }

  function offerImage() {
    const button = h("button", { type: "button", onclick: showImage }, "Show image");
    show(note(`This image is large (${formatBytes(size)}).`), button);
  }

  function showImage() {
    const onError = () => show(errorNotice("The browser cannot show this image.", "Download it, or retry later."));
    show(renderImage(url, escapeName(baseName(name)), onError));
  }

  async function showWhole() {
    showContent(await readRange(url, 0, MAX_WHOLE_BYTES, signal), { isStart: true, isEnd: true }, []);
  }

  async function showChoices() {
    const sample = decode(await readRange(url, 0, SAMPLE_BYTES, signal), { isEnd: false });
    if (!sample) return show(note(BINARY));
    return show(note(`This file is too large to be shown as a whole (${formatBytes(size)}).`), choices());
  }

  function choices() {
    const partSize = formatBytes(PART_BYTES);
    const first = () => load(() => showPart({ isStart: true, isEnd: false }));
    const last = () => load(() => showPart({ isStart: false, isEnd: true }));
    return h("div", { class: "actions start" },
      h("button", { type: "button", onclick: first }, `Show the first ${partSize}`),
      h("button", { type: "button", onclick: last }, `Show the last ${partSize}`));
  }

  /** @param {Part} part */
  async function showPart(part) {
    const content = await readRange(url, part.isStart ? 0 : -PART_BYTES, PART_BYTES, signal);
    const which = part.isStart ? "first" : "last";
    const partNote = note(`The ${which} ${formatBytes(content.length)} of ${formatBytes(size)}.`);
    showContent(content, part, [choices(), partNote]);
  }

  /**
   * @param {Uint8Array} content
   * @param {Part} part
   * @param {Child[]} above elements above the content
   */
  function showContent(content, part, above) {
    const decoded = decode(content, part);
    if (!decoded) return show(above, note(BINARY));
    const { text, encoding } = decoded;
    const notes = [...above, encoding !== "UTF-8" && note(`Decoded as ${encoding}.`)];
    if (!part.isStart) return showEnd(notes, text);
    const renderer = type === "json" || type === "table" ? RENDERERS[type] : null;
    const onProblem = (/** @type {string} */ problem) => void notes.push(note(problem));
    const rendered = renderer?.render(text, { isWhole: part.isEnd, path: name, onProblem });
    if (!renderer || !rendered) return show(notes, renderText(text));
    return showWithToggle(notes, renderer.labels, [rendered, renderText(text)]);
  }

  /** Show text from its first complete line, scrolled to its end. @param {Child[]} above @param {string} text */
  function showEnd(above, text) {
    const [rendered] = renderText(text.slice(text.indexOf("\n") + 1));
    show(above, rendered);
    rendered.scrollTop = rendered.scrollHeight;
  }

  /**
   * Show the first of two views of the content, and a button for the other.
   * @param {Child[]} above
   * @param {string[]} labels
   * @param {Child[]} views
   */
  function showWithToggle(above, [label, otherLabel], [view, otherView]) {
    const toggle = () => {
      showWithToggle(above, [otherLabel, label], [otherView, view]);
      /** @type {HTMLElement | null} */ (element.querySelector(".toggle-view"))?.focus();
    };
    const button = h("button", { type: "button", class: "toggle-view", onclick: toggle }, `Show ${otherLabel}`);
    show(above, button, view);
  }

  start();
  return element;
}
