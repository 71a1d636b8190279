// The messages below the table of files: the number of files, or why the list is empty. Pure.

import { formatCount } from "../format.js";
import { escapeName } from "../untrusted_text.js";

const EMPTY_MESSAGES = new Map(Object.entries({
  expired: "The artifacts have expired and are no longer available.",
  rejected: "No files were collected: the job exceeded the artifact limit.",
  empty: "The job wrote no files to its artifacts folder.",
  incomplete: "No files had been collected when the collector stopped.",
  syncing: "No files have been collected yet.",
}));

/**
 * Why a listing is empty.
 * @param {string} artifactState
 * @param {Pick<TabState, "path" | "search">} state
 */
export function emptyMessage(artifactState, { path, search }) {
  if (search) return `No file ${path ? `in ${escapeName(path)} ` : ""}has “${escapeName(search)}” in its path.`;
  if (path) return `The folder ${escapeName(path)} does not exist or is empty.`;
  return EMPTY_MESSAGES.get(artifactState) ?? "There are no files.";
}

/**
 * "200 of 10,000 entries", "3 files found".
 * @param {object} listing
 * @param {number} listing.length
 * @param {number | null} listing.total null if it is not known
 * @param {boolean} listing.hasMore
 * @param {Pick<TabState, "search">} listing.state
 */
export function countMessage({ length, total, hasMore, state }) {
  const countAll = (/** @type {number} */ number) =>
    (state.search ? `${formatCount(number, "file")} found` : formatEntries(number));
  if (!hasMore) return countAll(length);
  return total === null ? `First ${countAll(length)}` : `${formatCount(length)} of ${countAll(total)}`;
}

/** @param {number} number */
function formatEntries(number) {
  return number === 1 ? "1 entry" : `${formatCount(number)} entries`;
}
