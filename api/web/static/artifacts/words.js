// What the tab says about how much there is, and why there is nothing. Pure.

import { count } from "../format.js";
import { visible } from "../names.js";

const NOTHING = new Map(Object.entries({
  expired: "The artifacts have expired and are no longer kept.",
  rejected: "Nothing was kept: the job left more than the limits allow.",
  empty: "The job left no files in its artifacts folder.",
  incomplete: "No file was in the store when the collector stopped.",
  syncing: "No file has been collected yet.",
}));

/** Why a listing without files has none. `state`: of the artifacts, as the API tells. */
export function emptyWords(state, { path, search }) {
  if (search) return `No file ${path ? `in ${visible(path)} ` : ""}has “${visible(search)}” in its path.`;
  if (path) return `There is no folder ${visible(path)} among the artifacts, or nothing in it.`;
  return NOTHING.get(state) ?? "There are no files.";
}

/** "200 of 10,000 entries", "3 files found". `total`: null where nobody knows. */
export function countWords({ length, total, hasMore, state }) {
  const all = (number) => (state.search ? `${count(number, "file")} found` : entries(number));
  if (!hasMore) return all(length);
  return total === null ? `the first ${all(length)}` : `${count(length)} of ${all(total)}`;
}

function entries(number) {
  return number === 1 ? "1 entry" : `${count(number)} entries`;
}
