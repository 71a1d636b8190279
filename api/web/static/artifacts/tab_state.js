// The state of the Artifacts tab in the address: ?path=plots/&sort=-size&search=loss&file=plots/loss.png. Pure.
//
// Addresses are untrusted, so invalid values are ignored.

import { isValidPath, parentOf, parseFolder } from "./paths.js";

/** The columns that files can be sorted by, with the API's name for each. @type {Record<SortOrder, string>} */
export const ORDER_FIELDS = { name: "name", size: "size", time: "lastModified" };

/** Parse the query of an address. @param {URLSearchParams} params @returns {TabState} */
export function parseTabState(params) {
  const sort = params.get("sort") ?? "";
  const order = sort.replace(/^-/, "");
  const [file, search] = [params.get("file") ?? "", params.get("search") ?? ""];
  return {
    path: parseFolder(params.get("path") ?? (isValidPath(file) && !search ? parentOf(file) : "")),
    order: isSortOrder(order) ? order : "name",
    isDescending: isSortOrder(order) && sort.startsWith("-"),
    search,
    file: isValidPath(file) ? file : "",
  };
}

/** Return the query for a state, without default values. @param {TabState} state */
export function formatTabState({ path, order, isDescending, search, file }) {
  const sort = `${isDescending ? "-" : ""}${order}`;
  const params = { path, sort: sort === "name" ? "" : sort, search, file };
  return new URLSearchParams(Object.entries(params).filter(([, value]) => value !== ""));
}

/**
 * Sort by `order`, or reverse the order if the state has it already. Sizes and times start with the largest.
 * @param {TabState} state
 * @param {SortOrder} order
 * @returns {TabState}
 */
export function toggleSort(state, order) {
  const isDescending = state.order === order ? !state.isDescending : order !== "name";
  return { ...state, order, isDescending };
}

/** @param {string} text @returns {text is SortOrder} */
function isSortOrder(text) {
  return Object.hasOwn(ORDER_FIELDS, text);
}
