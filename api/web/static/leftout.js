// Why files were left out, in words, with what can be done. Pure. The words of the collector's contract stand in where
// a newer collector tells a reason that is not known here.

// Each reason: what it says of n files; what to do.
const REASONS = {
  over_limit: ["past the limit on files or size", ""],
  excluded: ["left out by the rules on which files are collected", "The rules are PHJOB_ARTIFACT_INCLUDE and _EXCLUDE."],
  outside_volumes: [
    "links to a place that the collector cannot see",
    "Write to the artifacts folder itself, or link to a place on one of the job's volumes; not to /tmp, for one.",
  ],
  broken_link: ["links that lead to nothing", "Check that what they link to is still there when the job ends."],
  link_loop: ["links that lead back into themselves", ""],
  too_deep: ["in more than 100 folders within one another", "Use fewer folders, or an archive."],
  special_file: ["pipes, sockets or devices, which have no content to keep", ""],
  not_a_folder: ["artifacts is no folder", "Make artifacts a folder, or a link to one."],
  unreadable: ["not readable for the collector", "Let the files' owner read them: chmod -R u+rX artifacts."],
  invalid_name: ["with a name too long for the store", "Use names of at most 255 bytes, in fewer folders."],
  source_error: ["could not be read", "The job's disk failed; run the job again."],
  store_error: ["could not be written to the store", "The store failed or is full; ask your administrator."],
  store_conflict: [
    "in whose place in the store stands something else",
    "Somebody wrote to the job's folder by another way. Use another name, or run the job again.",
  ],
  not_reached: ["not reached in time", "The time after the job's end was too short: leave less, or write it earlier."],
};

/** The report's `skipped` rows as { title, hint, detail, files, bytes, paths }. */
export function leftOut(skipped) {
  return skipped
    .filter((row) => row.files > 0)
    .map(({ reason, explanation, ...row }) => {
      const [title, hint] = REASONS[reason] ?? [explanation, ""];
      return { title, hint, ...row };
    });
}
