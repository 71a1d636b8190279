// Bytes as text, or the finding that they are none. Pure.
//
// The bytes may be a part of a file, so a character may be cut at either end.

const MOST_CONTROLS = 0.01; // of a text's bytes; a terminal's log has some

/** {text, encoding}; null where the bytes are no text. `isStart`: they are the file's first; `isEnd`: its last. */
export function decode(bytes, { isStart = true, isEnd = true } = {}) {
  const wide = isStart ? wideEncoding(bytes) : null;
  if (wide) return { text: new TextDecoder(wide).decode(bytes), encoding: "UTF-16" };
  if (looksBinary(bytes)) return null;
  const whole = isStart ? bytes : bytes.subarray(cutCharacter(bytes));
  try {
    const decoder = new TextDecoder("utf-8", { fatal: true });
    return { text: decoder.decode(whole, { stream: !isEnd }), encoding: "UTF-8" };
  } catch {
    return { text: new TextDecoder("windows-1252").decode(bytes), encoding: "Windows-1252" };
  }
}

/** By the mark that such files begin with. */
function wideEncoding(bytes) {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return "utf-16le";
  return bytes[0] === 0xfe && bytes[1] === 0xff ? "utf-16be" : null;
}

function looksBinary(bytes) {
  let controls = 0;
  for (const byte of bytes) {
    if (byte === 0) return true;
    if (isControl(byte)) controls += 1;
  }
  return controls > bytes.length * MOST_CONTROLS;
}

/** But for backspace, tab, line ends, form feed and escape, which logs have. */
function isControl(byte) {
  return (byte < 0x20 && !(byte >= 0x08 && byte <= 0x0d) && byte !== 0x1b) || byte === 0x7f;
}

/** How many bytes at the start are the rest of a character. */
function cutCharacter(bytes) {
  let count = 0;
  while (count < 3 && (bytes[count] & 0xc0) === 0x80) count += 1;
  return count;
}
