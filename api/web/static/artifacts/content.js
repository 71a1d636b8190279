// The content of a file in a preview: how much of it is loaded, and what it turns out to be.

import { h, nodes } from "../dom.js";
import { bytes } from "../format.js";
import { visible } from "../names.js";
import { problem } from "../tell.js";
import { decode } from "./decode.js";
import { kindOf } from "./kinds.js";
import { readPart } from "./part.js";
import { baseName } from "./paths.js";
import { imagePicture, jsonPicture, note, tablePicture, textPicture } from "./pictures.js";

const WHOLE_BYTES = 1024 * 1024; // a larger file is loaded only when the reader says so, and not as a whole
const PART_BYTES = 256 * 1024;
const LOOK_BYTES = 4096; // of a large file, to see whether it is text at all
const IMAGE_BYTES = 16 * 1024 * 1024;
// What else but text a file can be shown as, if it is read from its start.
const PICTURES = {
  json: { make: jsonPicture, words: ["as indented JSON", "as plain text"] },
  table: { make: tablePicture, words: ["as a table", "as plain text"] },
};
const BINARY = "This file is not text, so it cannot be shown here. Download it.";

/** An element that shows the content of the file {name, size} at `url`, until `signal` ends it. */
export function contentOf({ name, size }, url, signal) {
  const element = h("div", { class: "preview-content" });
  const kind = kindOf(name);
  const show = (...children) => {
    if (!signal.aborted) element.replaceChildren(...nodes(children));
  };

  function begin() {
    if (size === 0) return show(note("This file is empty."));
    if (kind === "image") return size > IMAGE_BYTES ? askForImage() : showImage();
    return trying(size > WHOLE_BYTES ? look : showWhole);
  }

  /** Does it, with a word while it goes on; tells what goes wrong, and offers to do it again. */
  async function trying(act) {
    show(h("p", { class: "muted", role: "status" }, "Loading…"));
    try {
      await act();
    } catch (error) {
      if (error.name === "AbortError") return;
      const again = h("button", { type: "button", onclick: () => trying(act) }, "Try again");
      show(problem("The file cannot be shown.", error.message, error.code !== "EXPIRED" && again));
    }
  }

  function askForImage() {
    show(note(`This image has ${bytes(size)}.`), h("button", { type: "button", onclick: showImage }, "Show it"));
  }

  function showImage() {
    const failed = () => show(problem("The browser cannot show this image.", "Download it, or try again later."));
    show(imagePicture(url, visible(baseName(name)), failed));
  }

  async function showWhole() {
    const content = await readPart(url, 0, WHOLE_BYTES, signal);
    const part = { isStart: true, isEnd: true };
    showBytes(content, part, []);
  }

  async function look() {
    const found = decode(await readPart(url, 0, LOOK_BYTES, signal), { isEnd: false });
    if (!found) return show(note(BINARY));
    return show(note(`This file has ${bytes(size)}, too much to be shown as a whole.`), choices());
  }

  function choices() {
    const button = (part, words) => h("button", { type: "button", onclick: () => trying(() => showPart(part)) }, words);
    const much = bytes(PART_BYTES);
    const both = [button("start", `Show the first ${much}`), button("end", `Show the last ${much}`)];
    return h("div", { class: "actions start" }, both);
  }

  async function showPart(part) {
    const isStart = part === "start";
    const content = await readPart(url, isStart ? 0 : -PART_BYTES, PART_BYTES, signal);
    const told = note(`The ${isStart ? "first" : "last"} ${bytes(content.length)} of ${bytes(size)}.`);
    showBytes(content, { isStart, isEnd: !isStart }, [choices(), told]);
  }

  function showBytes(content, part, above) {
    const found = decode(content, part);
    if (!found) return show(above, note(BINARY));
    const told = [...above, found.encoding !== "UTF-8" && note(`Read as ${found.encoding}.`)];
    const tell = (words) => void told.push(note(words));
    if (!part.isStart) return showEnd(told, found.text);
    const picture = PICTURES[kind];
    const made = picture?.make(found.text, { isWhole: part.isEnd, path: name, tell });
    if (!made) return show(told, textPicture(found.text));
    return showEither(told, picture.words, [made, textPicture(found.text)]);
  }

  /** From the first whole line, and scrolled to the last. */
  function showEnd(above, text) {
    const [picture] = textPicture(text.slice(text.indexOf("\n") + 1));
    show(above, picture);
    picture.scrollTop = picture.scrollHeight;
  }

  /** The first of two pictures, and a button for the other. */
  function showEither(above, [words, other], [picture, otherPicture]) {
    const change = () => {
      showEither(above, [other, words], [otherPicture, picture]);
      element.querySelector(".change").focus();
    };
    show(above, h("button", { type: "button", class: "change", onclick: change }, `Show ${other}`), picture);
  }

  begin();
  return element;
}
