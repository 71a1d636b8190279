// Reads the tokens of a JSON text, each as it is written: JSON.parse would round numbers. Pure.

const SPACE = /[ \t\n\r]*/y;
const WORD = /-?[A-Za-z0-9.+-]+/y;
const SCALAR = /^(?:true|false|null|NaN|-?Infinity|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)$/;
const CONTROL = /[\u0000-\u001f]/;
const ESCAPES = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/g;

/** A syntax error. */
export class JsonError extends Error {
  /**
   * @param {string} message
   * @param {number} position the text's length if the text ends too early
   */
  constructor(message, position) {
    super(message);
    this.position = position;
  }
}

/** Reads a text from its start. All methods but `take` throw JsonError. */
export class JsonReader {
  /** @param {string} source */
  constructor(source) {
    this.source = source;
    this.position = 0;
  }

  /** The next character after white space, "" at the end. Does not consume it. */
  peek() {
    SPACE.lastIndex = this.position;
    SPACE.test(this.source);
    this.position = SPACE.lastIndex;
    return this.source[this.position] ?? "";
  }

  /** Consume characters. */
  take(length = 1) {
    this.position += length;
    return this.source.slice(this.position - length, this.position);
  }

  /** Consume this character. @param {string} character */
  expect(character) {
    if (this.peek() !== character) throw new JsonError(`expected ${character}`, this.position);
    return this.take();
  }

  /** Consume a string, with its quotes. */
  takeString() {
    if (this.peek() !== '"') throw new JsonError("expected a name in double quotes", this.position);
    let end = this.position;
    do end = this.source.indexOf('"', end + 1);
    while (end > 0 && isEscaped(this.source, end));
    if (end < 0) throw new JsonError("unclosed string", this.source.length);
    const text = this.source.slice(this.position, end + 1);
    if (CONTROL.test(text) || text.replace(ESCAPES, "").includes("\\")) {
      throw new JsonError("invalid string", this.position);
    }
    return this.take(text.length);
  }

  /** Consume a string, number or literal. */
  takeScalar() {
    if (this.peek() === '"') return this.takeString();
    WORD.lastIndex = this.position;
    const word = WORD.exec(this.source)?.[0] ?? "";
    const end = this.position + word.length;
    if (!SCALAR.test(word)) {
      throw new JsonError("expected a value", end === this.source.length ? end : this.position);
    }
    return this.take(word.length);
  }
}

/** @param {string} source @param {number} position */
function isEscaped(source, position) {
  let backslashes = 0;
  while (source[position - 1 - backslashes] === "\\") backslashes += 1;
  return backslashes % 2 === 1;
}
