// The reasons for which the collector skips files: a text and a remedy for each. A reason that is not listed here comes
// from a newer collector and is shown with its own explanation.

/** @type {Record<string, [title: string, hint: string]>} */
const REASONS = {
  over_limit: ["over the limit on number or size", ""],
  link_over_limit: [
    "links, or further hard links, for which the limits leave no room",
    "Raise the limits, or link only to files that you need. Files in the artifacts folder come before linked files.",
  ],
  link_skipped: ["links, which are left out by a setting", "The setting is PHJOB_ARTIFACT_LINKS=skip."],
  other_jobs: ["links to the artifacts of other jobs", "Each job keeps its own artifacts. To collect a file again, copy it into the artifacts folder."],
  excluded: [
    "excluded by the rules on which files are collected",
    "The rules are the settings PHJOB_ARTIFACT_INCLUDE and PHJOB_ARTIFACT_EXCLUDE.",
  ],
  outside_volumes: [
    "links to a path outside the job's volumes",
    "Write to the artifacts folder, or link to a path on one of the job's volumes. /tmp, for example, is on none.",
  ],
  broken_link: ["broken links", "Check that the link targets still exist when the job ends."],
  link_loop: ["links that form a loop", ""],
  too_deep: ["more than 100 folders deep", "Use fewer nested folders, or an archive."],
  special_file: ["pipes, sockets or devices, which have no content to collect", ""],
  not_a_folder: ["artifacts is not a folder", "Make artifacts a folder, or a link to one."],
  unreadable: ["not readable by the collector", "Let all users read them: chmod -R a+rX artifacts."],
  invalid_name: [
    "with a name that is too long for the store",
    "Use names of at most 255 bytes, and fewer nested folders.",
  ],
  source_error: ["could not be read", "The job's disk failed. Run the job again."],
  store_error: ["could not be written to the store", "The store failed or is full. Ask your administrator."],
  store_conflict: [
    "blocked by something else at the same path in the store",
    "Something other than the collector wrote to the job folder. Use another name, or run the job again.",
  ],
  not_reached: [
    "not copied in time",
    "The time after the job's end was too short. Allow more (annotation primehub.io/artifact-grace-seconds; in local mode, --grace), or write fewer or smaller files, or write them earlier.",
  ],
};

const LINK_REASONS = ["outside_volumes", "broken_link", "link_loop"];

/**
 * @typedef {object} SkippedFiles the files that were skipped for one reason
 * @property {string} title completes "3 files skipped: "
 * @property {string} hint what the user can do, or ""
 * @property {string} detail the last error or link target, or ""
 * @property {string} detailLabel
 * @property {number} files
 * @property {number} bytes
 * @property {string[]} paths the first of them
 */

/**
 * Describe the `skipped` rows of a report.
 * @param {SkippedRow[]} rows
 * @returns {SkippedFiles[]}
 */
export function describeSkipped(rows) {
  return rows
    .filter((row) => row.files > 0)
    .map(({ reason, explanation, detail, files, bytes, paths }) => {
      const [title, hint] = REASONS[reason] ?? [explanation, ""];
      const detailLabel = LINK_REASONS.includes(reason) ? "Link target" : "Last error";
      return { title, hint, detail: detail ?? "", detailLabel, files, bytes, paths };
    });
}
