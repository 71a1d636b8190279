// Splits a text into blocks, of which a browser lays out only those near the viewport. A megabyte of line ends, or of
// characters that change the direction of writing, would block the page for seconds if it were laid out at once. Pure;
// the text is untrusted.

const MAX_BLOCK_LINES = 500;
const MAX_BLOCK_LENGTH = 8000;
const MAX_LINE_LENGTH = 2000;

/**
 * Split a text into blocks; joined, they are the text. A block ends at the end of a line, or in a line that is too long.
 * @param {string} text
 * @returns {{ text: string, lines: number }[]}
 */
export function splitIntoBlocks(text) {
  const blocks = [];
  for (let [start, end, lines] = [0, 0, 0]; start < text.length; [start, lines] = [end, 0]) {
    while (end < text.length && lines < MAX_BLOCK_LINES) {
      const lineEnd = findLineEnd(text, end);
      if (lineEnd - start > MAX_BLOCK_LENGTH && end > start) break;
      [end, lines] = [lineEnd, lines + 1];
      if (text[end - 1] !== "\n") break;
    }
    blocks.push({ text: text.slice(start, end), lines });
  }
  return blocks;
}

/**
 * Return the index after the line that starts at `start`, or where the line becomes too long; never within a character.
 * @param {string} text
 * @param {number} start
 */
function findLineEnd(text, start) {
  const max = start + MAX_LINE_LENGTH;
  const end = text.indexOf("\n", start) + 1 || text.length;
  if (end <= max) return end;
  return /[\ud800-\udbff]/.test(text[max - 1]) ? max + 1 : max;
}
