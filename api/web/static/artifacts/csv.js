// The first rows of a CSV or TSV text: RFC 4180, and whatever else calls itself so. Pure; the text is hostile.
//
// A quoted field may hold anything, and goes on to the text's end where its quote is never closed. Lines without
// anything are no rows. Rows may be of any length.

const DELIMITERS = [",", ";", "\t", "|"];

/**
 * {rows, columns, moreRows, moreColumns}: rows of fields, how many columns the longest has, what was left out.
 * `delimiter`: else the one that the first line has most of. `isWhole`: false where the text may end within a row.
 */
export function parseCsv(text, options = {}) {
  const { delimiter, isWhole = true, mostRows = 500, mostColumns = 50, mostLetters = 1000 } = options;
  const separator = delimiter ?? guessDelimiter(text);
  const rows = [];
  const found = { columns: 0, moreRows: false, moreColumns: false };
  for (const row of readRows(text, separator, { isWhole, mostColumns, mostLetters })) {
    if (rows.length === mostRows) {
      found.moreRows = true;
      break;
    }
    rows.push(row.fields);
    found.columns = Math.max(found.columns, row.fields.length);
    found.moreColumns ||= row.isCut;
  }
  return { rows, ...found };
}

/** The delimiter that the first line has most of outside of quotes; a comma where there is none. */
export function guessDelimiter(text) {
  const line = text.slice(0, 10000).replace(/"[^"]*("|$)/g, "").split(/[\r\n]/, 1)[0];
  const counts = DELIMITERS.map((delimiter) => line.split(delimiter).length);
  return DELIMITERS[counts.indexOf(Math.max(...counts))];
}

/** Rows as {fields, isCut}; the last only where it is whole, or the only one. */
function* readRows(text, delimiter, { isWhole, mostColumns, mostLetters }) {
  let at = 0;
  let count = 0;
  while (at < text.length) {
    const row = { fields: [], isCut: false };
    let field;
    do {
      field = readField(text, at, delimiter);
      at = field.end + (text[field.end] === delimiter ? 1 : 0);
      if (row.fields.length < mostColumns) row.fields.push(shortened(field.value, mostLetters));
      else row.isCut = true;
    } while (text[field.end] === delimiter);
    at = behindLineEnd(text, field.end);
    if (at === field.end && !isWhole && count > 0) return;
    if (row.fields.length > 1 || row.fields[0] !== "") yield row;
    count += 1;
  }
}

/** The field that begins at `start`, and where it ends: at a delimiter, a line's end, or the text's. */
function readField(text, start, delimiter) {
  let value = "";
  let at = start;
  if (text[at] === '"') ({ value, at } = readQuoted(text, start + 1));
  const end = plainEnd(text, at, delimiter);
  return { value: value + text.slice(at, end), end };
}

function readQuoted(text, start) {
  let value = "";
  let at = start;
  for (;;) {
    const quote = text.indexOf('"', at);
    if (quote < 0) return { value: value + text.slice(at), at: text.length };
    value += text.slice(at, quote);
    if (text[quote + 1] !== '"') return { value, at: quote + 1 };
    value += '"';
    at = quote + 2;
  }
}

function plainEnd(text, start, delimiter) {
  let at = start;
  while (at < text.length && text[at] !== delimiter && text[at] !== "\n" && text[at] !== "\r") at += 1;
  return at;
}

function behindLineEnd(text, at) {
  return text.startsWith("\r\n", at) ? at + 2 : Math.min(at + 1, text.length);
}

function shortened(value, most) {
  return value.length > most ? `${value.slice(0, most)}…` : value;
}
