// What the tab shows, as the address tells it: ?path=plots/&sort=-size&search=loss&file=plots/loss.png. Pure.
//
// Addresses come from anywhere, so what cannot be is left out.

import { isPath, parentOf, readFolder } from "./paths.js";

/** Columns that files can be sorted by, and what the API calls them. */
export const ORDERS = { name: "name", size: "size", time: "lastModified" };

/** {path, order, isDescending, search, file}: a folder ("": all), how it is shown, and the file that is previewed. */
export function readState(params) {
  const sort = params.get("sort") ?? "";
  const order = sort.replace(/^-/, "");
  const [file, search] = [params.get("file") ?? "", params.get("search") ?? ""];
  return {
    path: readFolder(params.get("path") ?? (isPath(file) && !search ? parentOf(file) : "")),
    order: Object.hasOwn(ORDERS, order) ? order : "name",
    isDescending: Object.hasOwn(ORDERS, order) && sort.startsWith("-"),
    search,
    file: isPath(file) ? file : "",
  };
}

/** The address's query for it, without what goes without saying. */
export function writeState({ path, order, isDescending, search, file }) {
  const sort = `${isDescending ? "-" : ""}${order}`;
  const params = { path, sort: sort === "name" ? "" : sort, search, file };
  return new URLSearchParams(Object.entries(params).filter(([, value]) => value !== ""));
}

/** The same folder sorted by `order`; once more: the other way. Sizes and times begin with the largest. */
export function sortedBy(state, order) {
  const isDescending = state.order === order ? !state.isDescending : order !== "name";
  return { ...state, order, isDescending };
}
