// What a file's content looks like in a preview. All of it is shown as text or by <img>: nothing of a job's files is
// ever markup here, and nothing in them runs.

import { h } from "../dom.js";
import { blocksOf } from "./blocks.js";
import { parseCsv } from "./csv.js";
import { count } from "../format.js";
import { prettyJson } from "./json.js";
import { delimiterOf } from "./kinds.js";

const MOST_ROWS = 500;

/** The text as it is. */
export function textPicture(text) {
  const pre = h("pre", { class: "preview-text", tabindex: "0", "aria-label": "Text", role: "region" });
  for (const block of blocksOf(text)) {
    const element = h("div", null, block.text);
    element.style.setProperty("--lines", block.lines);
    pre.append(element);
  }
  return [pre];
}

/** JSON with a line for each value; null where it is none, and `tell(words)` what is wrong. */
export function jsonPicture(text, { isWhole, tell }) {
  const { text: lines, problem, isCut } = prettyJson(text, { isWhole });
  if (problem) return tell(`This is not JSON: ${problem}.`);
  return [isCut && note("These are the first lines; there are more."), ...textPicture(lines)];
}

/** A table of the first rows, the very first naming the columns; null where there are none, and `tell(words)` so. */
export function tablePicture(text, { isWhole, path, tell }) {
  const options = { delimiter: delimiterOf(path), isWhole, mostRows: MOST_ROWS + 1 };
  const { rows, columns, moreRows, moreColumns } = parseCsv(text, options);
  if (rows.length === 0) return tell("There are no rows in it.");
  const [head, ...others] = rows;
  const cut = [
    (moreRows || !isWhole) && `the first ${count(others.length, "row")}`,
    moreColumns && `the first ${count(columns, "column")}`,
  ].filter(Boolean);
  const table = h(
    "table",
    null,
    h("thead", null, h("tr", null, h("td", null), cells("th", head, columns, { scope: "col" }))),
    h("tbody", null, others.map((row, index) => numbered(index + 1, cells("td", row, columns)))),
  );
  const region = h("div", { class: "preview-table", tabindex: "0", role: "region", "aria-label": "Table" }, table);
  return [cut.length > 0 && note(`These are ${cut.join(" and ")}; there are more.`), region];
}

/** An image; `onFail` where the browser cannot show it. */
export function imagePicture(url, name, onFail) {
  return [h("img", { class: "preview-image", src: url, alt: `The image ${name}`, onerror: onFail })];
}

/** A word on what is shown. */
export function note(...words) {
  return h("p", { class: "muted small" }, words);
}

function numbered(number, fields) {
  return h("tr", null, h("th", { scope: "row" }, number), fields);
}

function cells(tag, row, columns, props) {
  return Array.from({ length: columns }, (_, index) => h(tag, props, row[index] ?? ""));
}
