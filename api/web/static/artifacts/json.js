// JSON, as pretty printing needs it: with a line for each value, and by its own text, so that numbers keep their
// digits, keys their order and doubles. Pure.
//
// The text is hostile: of any depth, of any size, or no JSON at all. NaN and Infinity pass, as Python writes them.

import { Problem, Reader } from "./tokens.js";

const INDENT = "  ";
const MOST_INDENT = 40; // deeper ones are not indented further, or lines would be longer than the text

/**
 * {text, problem, isCut}: `problem` says what is wrong where, and `text` is as far as it is right; `isCut`: there are
 * more than `mostLines`. `isWhole`: false where the text is a file's beginning, whose end is no problem.
 */
export function prettyJson(source, { isWhole = true, mostLines = 20000 } = {}) {
  const writer = new Writer(mostLines);
  try {
    readDocument(new Reader(source), writer);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const isEnd = error.at >= source.length;
    const problem = isEnd && !isWhole ? null : `${error.message}, ${place(source, error.at)}`;
    return { text: writer.text, problem: writer.isFull ? null : problem, isCut: writer.isFull };
  }
  return { text: writer.text, problem: null, isCut: false };
}

/** Writes lines, until there are too many. */
class Writer {
  constructor(mostLines) {
    this.lines = [];
    this.line = "";
    this.mostLines = mostLines;
    this.isFull = false;
  }

  add(text) {
    this.line += text;
  }

  newLine(depth) {
    this.lines.push(this.line);
    this.line = INDENT.repeat(Math.min(depth, MOST_INDENT));
    if (this.lines.length < this.mostLines) return;
    this.line = "";
    this.isFull = true;
    throw new Problem("too many lines", 0);
  }

  get text() {
    return [...this.lines, this.line].join("\n").trimEnd();
  }
}

/** Without recursion: `open` holds the closing marks of what is open. */
function readDocument(reader, writer) {
  const open = [];
  do {
    readValue(reader, writer, open);
    while (open.length > 0 && reader.peek() === open.at(-1)) close(reader, writer, open);
    if (open.length > 0) next(reader, writer, open);
  } while (open.length > 0);
  if (reader.peek() !== "") throw new Problem("there is more behind the value", reader.at);
}

/** A scalar, or everything that opens before the first one. Empty ones are closed by the caller. */
function readValue(reader, writer, open) {
  for (;;) {
    const mark = reader.peek();
    if (mark !== "{" && mark !== "[") break;
    writer.add(reader.take());
    open.push(mark === "{" ? "}" : "]");
    if (reader.peek() === open.at(-1)) {
      writer.add(reader.take());
      open.pop();
      return;
    }
    writer.newLine(open.length);
    if (mark === "{") readName(reader, writer);
  }
  writer.add(reader.scalar());
}

function readName(reader, writer) {
  writer.add(reader.string());
  writer.add(`${reader.expect(":")} `);
}

function next(reader, writer, open) {
  if (reader.peek() !== ",") throw new Problem(`, or ${open.at(-1)} is missing`, reader.at);
  writer.add(reader.take());
  writer.newLine(open.length);
  if (open.at(-1) === "}") readName(reader, writer);
}

function close(reader, writer, open) {
  const mark = open.pop();
  writer.newLine(open.length);
  writer.add(reader.expect(mark));
}

function place(source, at) {
  const before = source.slice(0, at).split("\n");
  return `line ${before.length}, column ${before.at(-1).length + 1}`;
}
