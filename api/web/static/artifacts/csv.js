// Parses the first rows of a CSV or TSV text: RFC 4180, and its common deviations. Pure; the text is untrusted.
//
// A quoted field can contain anything, and extends to the end of the text if its quote is never closed. Empty lines are
// no rows. Rows can differ in length.

const DELIMITERS = [",", ";", "\t", "|"];

/**
 * @typedef {object} CsvOptions
 * @property {string} [delimiter] by default the most frequent one in the first line
 * @property {boolean} [isWhole] false if the text may end within a row
 * @property {number} [maxRows]
 * @property {number} [maxColumns]
 * @property {number} [maxFieldLength] longer fields are truncated
 */

/**
 * Parse rows up to the limits. `columns` is the length of the longest row.
 * @param {string} text
 * @param {CsvOptions} [options]
 * @returns {{ rows: string[][], columns: number, hasMoreRows: boolean, hasMoreColumns: boolean }}
 */
export function parseCsv(text, options = {}) {
  const { delimiter, isWhole = true, maxRows = 500, maxColumns = 50, maxFieldLength = 1000 } = options;
  const separator = delimiter ?? guessDelimiter(text);
  const rows = [];
  const result = { columns: 0, hasMoreRows: false, hasMoreColumns: false };
  for (const row of parseRows(text, separator, isWhole, maxColumns, maxFieldLength)) {
    if (rows.length === maxRows) {
      result.hasMoreRows = true;
      break;
    }
    rows.push(row.fields);
    result.columns = Math.max(result.columns, row.fields.length);
    result.hasMoreColumns ||= row.isTruncated;
  }
  return { rows, ...result };
}

/** The most frequent delimiter of the first line, outside quotes; a comma by default. @param {string} text */
export function guessDelimiter(text) {
  const line = text.slice(0, 10000).replace(/"[^"]*("|$)/g, "").split(/[\r\n]/, 1)[0];
  const counts = DELIMITERS.map((delimiter) => line.split(delimiter).length);
  return DELIMITERS[counts.indexOf(Math.max(...counts))];
}

/**
 * Yield the rows. The last one is yielded only if it is complete, or the only one.
 * @param {string} text
 * @param {string} delimiter
 * @param {boolean} isWhole
 * @param {number} maxColumns
 * @param {number} maxFieldLength
 */
function* parseRows(text, delimiter, isWhole, maxColumns, maxFieldLength) {
  let position = 0;
  let count = 0;
  while (position < text.length) {
    /** @type {string[]} */
    const fields = [];
    let isTruncated = false;
    let field;
    do {
      field = parseField(text, position, delimiter);
      position = field.end + (text[field.end] === delimiter ? 1 : 0);
      if (fields.length < maxColumns) fields.push(truncate(field.value, maxFieldLength));
      else isTruncated = true;
    } while (text[field.end] === delimiter);
    position = skipLineEnd(text, field.end);
    if (position === field.end && !isWhole && count > 0) return;
    if (fields.length > 1 || fields[0] !== "") yield { fields, isTruncated };
    count += 1;
  }
}

/**
 * Parse the field at `start`. Its end is a delimiter, a line end, or the end of the text.
 * @param {string} text
 * @param {number} start
 * @param {string} delimiter
 */
function parseField(text, start, delimiter) {
  const quoted = text[start] === '"' ? parseQuoted(text, start + 1) : { value: "", end: start };
  const end = findFieldEnd(text, quoted.end, delimiter);
  return { value: quoted.value + text.slice(quoted.end, end), end };
}

/** @param {string} text @param {number} start after the opening quote */
function parseQuoted(text, start) {
  let value = "";
  let position = start;
  for (;;) {
    const quote = text.indexOf('"', position);
    if (quote < 0) return { value: value + text.slice(position), end: text.length };
    value += text.slice(position, quote);
    if (text[quote + 1] !== '"') return { value, end: quote + 1 };
    value += '"';
    position = quote + 2;
  }
}

/** @param {string} text @param {number} start @param {string} delimiter */
function findFieldEnd(text, start, delimiter) {
  let end = start;
  while (end < text.length && text[end] !== delimiter && text[end] !== "\n" && text[end] !== "\r") end += 1;
  return end;
}

/** @param {string} text @param {number} position */
function skipLineEnd(text, position) {
  return text.startsWith("\r\n", position) ? position + 2 : Math.min(position + 1, text.length);
}

/** @param {string} value @param {number} maxLength */
function truncate(value, maxLength) {
  return value.length > maxLength ? `${value.slice(0, maxLength)}…` : value;
}
