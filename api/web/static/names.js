// How names that others chose are shown: file names, commands, display names, notes.
// A right-to-left override, a control character or a space that looks like none must not make one name look like
// another, so each is shown as an escape; <bdi> keeps the name's own direction from reordering what stands beside it.

import { h } from "./dom.js";

// Controls, format characters (bidi, zero width, tags) and all that is to be ignored, line and paragraph separators,
// lone surrogates, private use, and spaces other than U+0020.
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{DI}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;
const SPACES = /(?<=^| ) | (?= |$)/gu; // those at an end or beside another: a browser shows none or one of them
const UNSEEN = new RegExp(`${HIDDEN.source}|${SPACES.source}`, "gu");
const ESCAPES = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** The name as an element, what cannot be seen in it as marked escapes. */
export function shown(name, props) {
  return h("bdi", props, ...pieces(String(name ?? ""), UNSEEN));
}

/** The same as a text, for titles and labels. */
export function visible(name) {
  return String(name ?? "").replace(UNSEEN, escaped);
}

/** A text of several lines, such as a command, for an element that keeps white space: that stays as it is. */
export function shownLines(text, props) {
  const lines = String(text ?? "").split(/(?<=[\n\t])/);
  return h("bdi", props, ...lines.flatMap((line) => {
    const end = /[\n\t]$/.exec(line)?.[0] ?? "";
    return [...pieces(end ? line.slice(0, -1) : line, HIDDEN), end];
  }));
}

function pieces(text, hidden) {
  const found = [];
  let from = 0;
  for (const match of text.matchAll(hidden)) {
    if (match.index > from) found.push(text.slice(from, match.index));
    found.push(h("span", { class: "escape", title: "a character that cannot be seen" }, escaped(match[0])));
    from = match.index + match[0].length;
  }
  if (from < text.length) found.push(text.slice(from));
  return found;
}

function escaped(character) {
  const code = character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  return ESCAPES[character] ?? `\\u{${code}}`;
}

/** What a job is called: its id, where its name is blank. */
export function nameOf({ displayName, id }) {
  return displayName?.trim() || id;
}
