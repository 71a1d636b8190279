// Decodes bytes to text and detects binary content. The bytes can be a part of a file, so a character may be incomplete
// at either end. Pure.

const MAX_CONTROL_RATIO = 0.01; // of the bytes of a text; logs of terminals contain some

/**
 * Decode bytes; null if they are not text.
 * @param {Uint8Array} bytes
 * @param {{ isStart?: boolean, isEnd?: boolean }} [part] whether the bytes include the file's start and end
 * @returns {{ text: string, encoding: string } | null}
 */
export function decode(bytes, { isStart = true, isEnd = true } = {}) {
  const utf16 = isStart ? utf16Encoding(bytes) : null;
  if (utf16) return { text: new TextDecoder(utf16).decode(bytes), encoding: "UTF-16" };
  if (isBinary(bytes)) return null;
  const complete = isStart ? bytes : bytes.subarray(continuationCount(bytes));
  try {
    const decoder = new TextDecoder("utf-8", { fatal: true });
    return { text: decoder.decode(complete, { stream: !isEnd }), encoding: "UTF-8" };
  } catch {
    return { text: new TextDecoder("windows-1252").decode(bytes), encoding: "Windows-1252" };
  }
}

/** The UTF-16 encoding according to the byte order mark. @param {Uint8Array} bytes */
function utf16Encoding(bytes) {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return "utf-16le";
  return bytes[0] === 0xfe && bytes[1] === 0xff ? "utf-16be" : null;
}

/** @param {Uint8Array} bytes */
function isBinary(bytes) {
  let controlCount = 0;
  for (const byte of bytes) {
    if (byte === 0) return true;
    if (isControl(byte)) controlCount += 1;
  }
  return controlCount > bytes.length * MAX_CONTROL_RATIO;
}

/** Backspace, tab, line ends, form feed and escape do not count: logs contain them. @param {number} byte */
function isControl(byte) {
  return (byte < 0x20 && !(byte >= 0x08 && byte <= 0x0d) && byte !== 0x1b) || byte === 0x7f;
}

/** The number of bytes at the start that belong to an incomplete UTF-8 character. @param {Uint8Array} bytes */
function continuationCount(bytes) {
  let count = 0;
  while (count < 3 && (bytes[count] & 0xc0) === 0x80) count += 1;
  return count;
}
