// Renders the content of a file in a preview, as text or by <img> only: nothing in a job's files becomes markup or
// runs.

import { h } from "../dom.js";
import { formatCount } from "../format.js";
import { parseCsv } from "./csv.js";
import { delimiterFor } from "./file_types.js";
import { formatJson } from "./json.js";
import { splitIntoBlocks } from "./text_blocks.js";

const MAX_ROWS = 500;

/**
 * @typedef {object} RenderOptions
 * @property {boolean} isWhole false if the text may end anywhere
 * @property {string} path
 * @property {(problem: string) => void} onProblem called if the text cannot be rendered
 */

/** Plain text. @param {string} text */
export function renderText(text) {
  const pre = h("pre", { class: "preview-text", tabindex: "0", "aria-label": "Text", role: "region" });
  for (const block of splitIntoBlocks(text)) {
    const element = h("div", null, block.text);
    element.style.setProperty("--lines", String(block.lines));
    pre.append(element);
  }
  return [pre];
}

/**
 * JSON with one value per line; null if the text is not JSON.
 * @param {string} source
 * @param {RenderOptions} options
 * @returns {Child[] | null}
 */
export function renderJson(source, { isWhole, onProblem }) {
  const { text, problem, isTruncated } = formatJson(source, { isWhole });
  if (problem) {
    onProblem(`This is not valid JSON: ${problem}.`);
    return null;
  }
  return [isTruncated && note("Only the first lines are shown."), ...renderText(text)];
}

/**
 * The first rows of a CSV as a table, with the first one as its header; null if there are no rows.
 * @param {string} text
 * @param {RenderOptions} options
 * @returns {Child[] | null}
 */
export function renderTable(text, { isWhole, path, onProblem }) {
  const options = { delimiter: delimiterFor(path), isWhole, maxRows: MAX_ROWS + 1 };
  const { rows, columns, hasMoreRows, hasMoreColumns } = parseCsv(text, options);
  if (rows.length === 0) {
    onProblem("The table has no rows.");
    return null;
  }
  const [head, ...body] = rows;
  const limits = [
    (hasMoreRows || !isWhole) && `the first ${formatCount(body.length, "row")}`,
    hasMoreColumns && `the first ${formatCount(columns, "column")}`,
  ].filter(Boolean);
  const table = h(
    "table",
    null,
    h("thead", null, h("tr", null, h("td", null), cells("th", head, columns, { scope: "col" }))),
    h("tbody", null, body.map((row, index) =>
      h("tr", null, h("th", { scope: "row" }, index + 1), cells("td", row, columns)))),
  );
  const region = h("div", { class: "preview-table", tabindex: "0", role: "region", "aria-label": "Table" }, table);
  return [limits.length > 0 && note(`Only ${limits.join(" and ")} are shown.`), region];
}

/** An image. @param {string} url @param {string} name @param {() => void} onError called if it cannot be shown */
export function renderImage(url, name, onError) {
  return [h("img", { class: "preview-image", src: url, alt: `Image ${name}`, onerror: onError })];
}

/** A short remark above the content. @param {...Child} text */
export function note(...text) {
  return h("p", { class: "muted small" }, text);
}

/**
 * @param {"th" | "td"} tag
 * @param {string[]} row
 * @param {number} columns
 * @param {Props} [props]
 */
function cells(tag, row, columns, props) {
  return Array.from({ length: columns }, (_, index) => h(tag, props, row[index] ?? ""));
}
