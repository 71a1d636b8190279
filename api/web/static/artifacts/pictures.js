// What a file's content looks like in a preview. All of it is shown as text or by <img>: nothing of a job's files is
// ever markup here, and nothing in them runs.

import { h } from "../dom.js";
import { parseCsv } from "./csv.js";
import { count } from "../format.js";
import { prettyJson } from "./json.js";
import { delimiterOf } from "./kinds.js";

/** The text as it is. Answers [elements]. */
export function textPicture(text) {
  return [h("pre", { class: "preview-text", tabindex: "0", "aria-label": "Text", role: "region" }, text)];
}

/** JSON with a line for each value; as it is, with what is wrong, where it is none. */
export function jsonPicture(text, { isWhole }) {
  const { text: lines, problem, isCut } = prettyJson(text, { isWhole });
  if (problem) return [note(`This is not JSON: ${problem}.`), ...textPicture(text)];
  return [isCut && note("These are the first lines; there are more."), ...textPicture(lines)];
}

/** A table of the first rows; the first one names the columns. */
export function tablePicture(text, { isWhole, path }) {
  const { rows, columns, moreRows, moreColumns } = parseCsv(text, { delimiter: delimiterOf(path), isWhole });
  if (rows.length === 0) return [note("There are no rows in it."), ...textPicture(text)];
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
