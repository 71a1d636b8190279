// Shows text that others chose: file names, commands, display names, notes. A right-to-left override, a control
// character or an unusual space must not make one name look like another, so each is shown as an escape. <bdi> keeps a
// name's direction from reordering the text around it.

import { h } from "./dom.js";

// Controls, format characters (bidi, zero width, tags) and all other default ignorables, line and paragraph separators,
// lone surrogates, private use, and spaces other than U+0020.
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{DI}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;
const COLLAPSED_SPACES = /(?<=^| ) | (?= |$)/gu; // at an end or beside another: a browser shows none or one of them
const INVISIBLE_IN_NAME = new RegExp(`${INVISIBLE.source}|${COLLAPSED_SPACES.source}`, "gu");
/** @type {Record<string, string>} */
const ESCAPES = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/**
 * A name as a <bdi>, with invisible characters as marked escapes.
 * @param {string | null | undefined} name
 * @param {Props} [props]
 */
export function nameElement(name, props) {
  return h("bdi", props, ...toPieces(name ?? "", INVISIBLE_IN_NAME));
}

/** A name as a string with escapes, for titles and labels. @param {string | null | undefined} name */
export function escapeName(name) {
  return (name ?? "").replace(INVISIBLE_IN_NAME, escape);
}

/**
 * A text of several lines, such as a command, as a <bdi> for an element that preserves white space.
 * @param {string | null | undefined} text
 * @param {Props} [props]
 */
export function linesElement(text, props) {
  const lines = (text ?? "").split(/(?<=[\n\t])/);
  return h("bdi", props, ...lines.flatMap((line) => {
    const end = /[\n\t]$/.exec(line)?.[0] ?? "";
    return [...toPieces(end ? line.slice(0, -1) : line, INVISIBLE), end];
  }));
}

/**
 * @param {string} text
 * @param {RegExp} invisible
 */
function toPieces(text, invisible) {
  const pieces = [];
  let start = 0;
  for (const match of text.matchAll(invisible)) {
    if (match.index > start) pieces.push(text.slice(start, match.index));
    pieces.push(h("span", { class: "escape", title: "invisible character" }, escape(match[0])));
    start = match.index + match[0].length;
  }
  if (start < text.length) pieces.push(text.slice(start));
  return pieces;
}

/** @param {string} character */
function escape(character) {
  const code = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
  return ESCAPES[character] ?? `\\u{${code}}`;
}
