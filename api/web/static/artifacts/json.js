// Formats JSON with one value per line. Values keep their text, so numbers keep all digits, and keys their order and
// duplicates. Pure.
//
// The text is untrusted: of any depth and size, or not JSON. NaN and Infinity are accepted, because Python writes them.

import { JsonError, JsonReader } from "./json_tokens.js";

const INDENT = "  ";
const MAX_INDENT = 40; // deeper values are not indented further, else the result could be much longer than the text

/** Thrown by the writer at the maximum number of lines. */
class TooManyLines extends Error {}

/**
 * Format JSON. `problem` says what is wrong and where; `text` then ends at that place. `isTruncated`: there are more
 * than `maxLines` lines.
 * @param {string} source
 * @param {{ isWhole?: boolean, maxLines?: number }} [options] `isWhole`: false if the text may end anywhere
 * @returns {{ text: string, problem: string | null, isTruncated: boolean }}
 */
export function formatJson(source, { isWhole = true, maxLines = 20000 } = {}) {
  const writer = new LineWriter(maxLines);
  try {
    formatDocument(new JsonReader(source), writer);
  } catch (error) {
    if (error instanceof TooManyLines) return { text: writer.text, problem: null, isTruncated: true };
    if (!(error instanceof JsonError)) throw error;
    const isAtEnd = error.position >= source.length;
    const problem = isAtEnd && !isWhole ? null : `${error.message} at ${describePosition(source, error.position)}`;
    return { text: writer.text, problem, isTruncated: false };
  }
  return { text: writer.text, problem: null, isTruncated: false };
}

class LineWriter {
  /** @param {number} maxLines */
  constructor(maxLines) {
    this.maxLines = maxLines;
    /** @type {string[]} */
    this.lines = [];
    this.line = "";
  }

  /** @param {string} text */
  write(text) {
    this.line += text;
  }

  /** @param {number} depth */
  startLine(depth) {
    this.lines.push(this.line);
    this.line = INDENT.repeat(Math.min(depth, MAX_INDENT));
    if (this.lines.length < this.maxLines) return;
    this.line = "";
    throw new TooManyLines();
  }

  get text() {
    return [...this.lines, this.line].join("\n").trimEnd();
  }
}

/**
 * Not recursive, because of the depth: `open` holds the closing brackets of the open values.
 * @param {JsonReader} reader
 * @param {LineWriter} writer
 */
function formatDocument(reader, writer) {
  /** @type {string[]} */
  const open = [];
  do {
    formatValue(reader, writer, open);
    while (open.length > 0 && reader.peek() === open.at(-1)) formatEnd(reader, writer, open);
    if (open.length > 0) formatComma(reader, writer, open);
  } while (open.length > 0);
  if (reader.peek() !== "") throw new JsonError("unexpected text after the value", reader.position);
}

/**
 * Format a scalar, or all brackets that open before the first scalar.
 * @param {JsonReader} reader
 * @param {LineWriter} writer
 * @param {string[]} open
 */
function formatValue(reader, writer, open) {
  for (;;) {
    const bracket = reader.peek();
    if (bracket !== "{" && bracket !== "[") break;
    const closing = bracket === "{" ? "}" : "]";
    writer.write(reader.take());
    if (reader.peek() === closing) {
      writer.write(reader.take());
      return;
    }
    open.push(closing);
    writer.startLine(open.length);
    if (bracket === "{") formatKey(reader, writer);
  }
  writer.write(reader.takeScalar());
}

/** @param {JsonReader} reader @param {LineWriter} writer */
function formatKey(reader, writer) {
  writer.write(reader.takeString());
  writer.write(`${reader.expect(":")} `);
}

/** @param {JsonReader} reader @param {LineWriter} writer @param {string[]} open */
function formatComma(reader, writer, open) {
  if (reader.peek() !== ",") throw new JsonError(`expected , or ${open.at(-1)}`, reader.position);
  writer.write(reader.take());
  writer.startLine(open.length);
  if (open.at(-1) === "}") formatKey(reader, writer);
}

/** @param {JsonReader} reader @param {LineWriter} writer @param {string[]} open */
function formatEnd(reader, writer, open) {
  const bracket = open.pop() ?? "";
  writer.startLine(open.length);
  writer.write(reader.expect(bracket));
}

/** @param {string} source @param {number} position */
function describePosition(source, position) {
  const lines = source.slice(0, position).split("\n");
  return `line ${lines.length}, column ${lines[lines.length - 1].length + 1}`;
}
