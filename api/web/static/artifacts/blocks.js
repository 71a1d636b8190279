// A text cut into blocks, so that a browser lays out only those that are looked at. Pure; the text is hostile.
//
// A megabyte of line ends, or of letters that turn the direction of writing, would stop the page for seconds if it
// were laid out at once.

const MOST_LINES = 500;
const MOST_LETTERS = 8000;
const MOST_IN_LINE = 2000;

/** [{text, lines}]: together they are the text. Each ends with a line's end, or in a line that is too long for one. */
export function blocksOf(text) {
  const blocks = [];
  for (let [start, at, lines] = [0, 0, 0]; start < text.length; [start, lines] = [at, 0]) {
    while (at < text.length && lines < MOST_LINES) {
      const end = lineEnd(text, at);
      if (end - start > MOST_LETTERS && at > start) break;
      [at, lines] = [end, lines + 1];
      if (text[at - 1] !== "\n") break;
    }
    blocks.push({ text: text.slice(start, at), lines });
  }
  return blocks;
}

/** Behind the end of the line that begins at `start`, or where it becomes too long: never within a character. */
function lineEnd(text, start) {
  const most = start + MOST_IN_LINE;
  const end = text.indexOf("\n", start) + 1 || text.length;
  if (end <= most) return end;
  return /[\ud800-\udbff]/.test(text[most - 1]) ? most + 1 : most;
}
