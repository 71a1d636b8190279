// The tokens of a JSON text, each as it is written; JSON.parse would round numbers. Pure.

const SPACE = /[ \t\n\r]*/y;
const WORD = /-?[A-Za-z0-9.+-]+/y;
const PLAIN = /^(?:true|false|null|NaN|-?Infinity|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)$/;
const CONTROL = /[\u0000-\u001f]/;
const ESCAPES = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/g;

/** What is wrong with the text, and where: `at` is its length where it ends too early. */
export class Problem extends Error {
  constructor(message, at) {
    super(message);
    this.at = at;
  }
}

/** Reads on from the text's beginning. */
export class Reader {
  constructor(source) {
    this.source = source;
    this.at = 0;
  }

  /** What comes next, "" at the end; it is not taken. */
  peek() {
    SPACE.lastIndex = this.at;
    SPACE.test(this.source);
    this.at = SPACE.lastIndex;
    return this.source[this.at] ?? "";
  }

  take(length = 1) {
    this.at += length;
    return this.source.slice(this.at - length, this.at);
  }

  expect(mark) {
    if (this.peek() !== mark) throw new Problem(`${mark} is missing`, this.at);
    return this.take();
  }

  string() {
    if (this.peek() !== '"') throw new Problem("a name in quotes is missing", this.at);
    let end = this.at;
    do end = this.source.indexOf('"', end + 1);
    while (end > 0 && isEscaped(this.source, end));
    if (end < 0) throw new Problem("a quote is not closed", this.source.length);
    const text = this.source.slice(this.at, end + 1);
    if (CONTROL.test(text) || text.replace(ESCAPES, "").includes("\\")) throw new Problem("this is no text", this.at);
    return this.take(text.length);
  }

  scalar() {
    if (this.peek() === '"') return this.string();
    WORD.lastIndex = this.at;
    const word = WORD.exec(this.source)?.[0] ?? "";
    const end = this.at + word.length;
    if (!PLAIN.test(word)) throw new Problem("a value is missing", end === this.source.length ? end : this.at);
    return this.take(word.length);
  }
}

function isEscaped(source, at) {
  let slashes = 0;
  while (source[at - 1 - slashes] === "\\") slashes += 1;
  return slashes % 2 === 1;
}
