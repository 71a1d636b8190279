// Summarizes what became of a job's artifacts, for the person who runs the job. Pure: no elements.

import { formatBytes, formatCount, formatFiles } from "./format.js";
import { hasEnded, isBeingCancelled } from "./job_status.js";
import { describeSkipped } from "./skip_reasons.js";

/**
 * @typedef {string | { at: string, text: [before: string, after: string] }} Line a sentence; with an ISO time in it
 *
 * @typedef {object} Summary
 * @property {Tone} tone
 * @property {string} title a sentence
 * @property {Line[]} lines more sentences
 * @property {string} hint what the user can do, or ""
 * @property {import("./skip_reasons.js").SkippedFiles[]} skipped
 * @property {string[]} unstable paths of files that changed while they were copied
 *
 * @typedef {Pick<Summary, "tone" | "title"> & Partial<Summary>} StateSummary
 * @typedef {(job: Job, artifact: Partial<Artifact>, report: Report | null) => StateSummary} Summarizer
 */

const ADVICE_FOLDER =
  "Write the files to collect to the folder artifacts in the working directory (/home/jovyan/artifacts).";
const ADVICE_ASK = "Ask your administrator: the job's events and the collector's log have details.";

/** @type {Record<string, Summarizer>} */
const SUMMARIZERS = {
  sealed, rejected, incomplete, empty, expired,
  syncing: collecting,
  collecting,
  unknown,
  "not-injected": notInjected,
};

/**
 * @param {Job} job
 * @returns {Summary}
 */
export function summarizeArtifacts(job) {
  /** @type {Partial<Artifact>} */
  const artifact = job.artifact ?? {};
  const report = job.artifact?.report ?? null;
  const state = job.artifact?.state ?? "";
  const summarize = hasEnded(job) ? SUMMARIZERS[state] ?? withoutState : running;
  const hasPaths = state !== "expired";
  const summary = summarize(job, artifact, report);
  const isUnconfirmed = hasPaths && artifact.statusState === "unknown" && state !== "unknown";
  const lines = summary.lines ?? [];
  return {
    hint: "",
    ...summary,
    lines: isUnconfirmed ? [...lines, `The outcome is not confirmed: ${artifact.message}.`] : lines,
    skipped: hasPaths ? describeSkipped(report?.skipped ?? []) : [],
    unstable: hasPaths ? report?.unstable ?? [] : [],
  };
}

/** @type {Summarizer} */
function running(job, artifact, report) {
  if (report?.limitExceeded) {
    const consequence = report.overLimit === "keep"
      ? "Only the files within the limit are collected."
      : "If the job ends like this, no files are collected.";
    return {
      tone: "warn",
      title: "The job has exceeded the artifact limit.",
      lines: [describeExcess(report, "The job has written"), consequence],
      hint: adviceOnLimit(report),
    };
  }
  const stored = artifact.totalCount ? [`Collected so far: ${formatFiles(storedFiles(artifact))}.`] : [];
  if (isBeingCancelled(job)) return { tone: "warn", title: "The job is being cancelled.", lines: stored };
  if (!job.startTime) {
    return { tone: "", title: "The job has not started yet.", lines: ["Its artifacts will be listed here."] };
  }
  const lines = ["Each file is collected once it no longer changes.", ...stored];
  return { tone: "busy", title: "The job is running.", lines };
}

/** @type {Summarizer} */
function collecting(job, artifact) {
  const lines = artifact.totalCount ? [`Collected so far: ${formatFiles(storedFiles(artifact))}.`] : [];
  return { tone: "busy", title: "The job has ended; the last files are being collected.", lines };
}

/** @type {Summarizer} */
function sealed(job, artifact, report) {
  const stored = report ? collectedFiles(report) : storedFiles(artifact);
  if (report?.limitExceeded) return partlyCollected(report, stored);
  if (!stored.files) return { tone: "", title: "There are no files.", hint: ADVICE_FOLDER };
  const lines = report?.inPlace.files
    ? [`${formatFiles(report.inPlace)} of them ${wasOrWere(report.inPlace)} already in the job folder.`]
    : [];
  const title = stored.files === 1
    ? `1 file was collected (${formatBytes(stored.bytes)}).`
    : `All ${formatCount(stored.files)} files were collected (${formatBytes(stored.bytes)}).`;
  return { tone: "good", title, lines };
}

/**
 * @param {Report} report
 * @param {FileCount} stored
 * @returns {StateSummary}
 */
function partlyCollected(report, stored) {
  const reason = report.overLimit === "keep"
    ? "The files within the limit were collected, in the order of their paths."
    : "The limit was exceeded while the last files were being copied, so no further files were collected.";
  return {
    tone: "warn",
    title: `Only ${formatFiles(stored)} of ${formatFiles(report.found)} were collected.`,
    lines: [describeExcess(report), reason],
    hint: adviceOnLimit(report),
  };
}

/** @type {Summarizer} */
function rejected(job, artifact, report) {
  const title = "No files were collected: the job exceeded the artifact limit.";
  if (!report) return { tone: "bad", title, hint: adviceOnLimit(null) };
  const lines = [describeExcess(report)];
  if (report.inPlace.files) {
    const { inPlace } = report;
    const verb = inPlace.files === 1 ? "is" : "are";
    lines.push(`${formatFiles(inPlace)} ${wasOrWere(inPlace)} already in the job folder and ${verb} still there.`);
  }
  return { tone: "bad", title, lines, hint: adviceOnLimit(report) };
}

/** @type {Summarizer} */
function incomplete(job, artifact, report) {
  if (!report?.sealedAt) return interrupted(job, artifact, report);
  const { files } = collectedFiles(report);
  const foundText = formatCount(report.found.files, "file");
  const hasOldCopies = files > report.found.files; // of files that are gone, or that can no longer be examined
  const lines = [];
  if (hasOldCopies) lines.push("The store also has earlier copies, of files that could not be examined at the end.");
  if (report.limitExceeded) lines.push(describeExcess(report));
  if (!report.skipped.length) lines.push("The job wrote more files than the collector scans.");
  return {
    tone: "warn",
    title: hasOldCopies
      ? "Some files are missing."
      : `Some files are missing: ${formatCount(files)} of ${foundText} were collected.`,
    lines,
    hint: report.limitExceeded ? adviceOnLimit(report) : "",
  };
}

/** @type {Summarizer} */
function interrupted(job, artifact, report) {
  const cause = "The job's pod was killed or evicted, or its machine failed, before the last files were copied.";
  /** @type {Line[]} */
  const lines = artifact.statusState === "incomplete" ? reasonLines(artifact) : [cause];
  if (report?.updatedAt) lines.push({ at: report.updatedAt, text: ["Changes made after ", " are missing."] });
  if (artifact.totalCount) lines.push(`${formatFiles(storedFiles(artifact))} had been collected by then.`);
  return {
    tone: "warn",
    title: "The collection was interrupted.",
    lines,
    hint: "If files are missing, run the job again. Files that are written early are collected while the job runs.",
  };
}

/** @type {Summarizer} */
function empty(job, artifact, report) {
  if (report?.skipped.length) return { tone: "warn", title: "No files were collected: all files were skipped." };
  return { tone: "", title: "The job wrote no files to its artifacts folder.", hint: ADVICE_FOLDER };
}

/** @type {Summarizer} */
function expired(job, artifact, report) {
  if (artifact.removed) return removed(artifact);
  /** @type {Line[]} */
  const lines = [];
  const at = artifact.expiredAt;
  if (at) lines.push({ at, text: ["They were kept until ", ", then they expired or somebody deleted them."] });
  if (report && collectedFiles(report).files) lines.push(`There were ${formatFiles(collectedFiles(report))}.`);
  return {
    tone: "",
    title: "The artifacts are no longer available.",
    lines,
    hint: "They cannot be restored. Run the job again, and extend the retention of its artifacts or pin them.",
  };
}

/** @param {Partial<Artifact>} artifact @returns {StateSummary} */
function removed({ collected, expiredAt }) {
  const at = expiredAt ?? "";
  const isPast = Date.parse(at) <= Date.now(); // then this is the time of the removal, else of the expiry
  const count = collected?.files ? `${formatFiles(collected)} ${wasOrWere(collected)} collected and ` : "The artifacts ";
  return {
    tone: "warn",
    title: `${count}${collected?.files === 1 ? "is" : "are"} no longer in the store.`,
    lines: [isPast ? { at, text: ["Somebody removed them ", "."] } : "Somebody removed them before they expired."],
    hint: "They cannot be restored. Run the job again to get new ones.",
  };
}

/** @type {Summarizer} */
function unknown(job, artifact) {
  const lines = artifact.totalCount
    ? [`There are ${formatFiles(storedFiles(artifact))}; there may have been more.`]
    : [];
  const title = "It is unknown whether all files were collected.";
  return { tone: "warn", title, lines: [...reasonLines(artifact), ...lines], hint: ADVICE_ASK };
}

/** @type {Summarizer} */
function notInjected(job, artifact) {
  const lines = artifact.totalCount
    ? [`The job folder nevertheless contains ${formatFiles(storedFiles(artifact))}.`]
    : [];
  const nothing = artifact.totalCount ? "" : "No files were collected: the";
  const title = `${nothing || "The"} job ran without the collector.`;
  return { tone: "warn", title, lines: [...reasonLines(artifact), ...lines], hint: ADVICE_ASK };
}

/** @type {Summarizer} */
function withoutState(job, artifact) {
  if (artifact.totalCount) {
    const title = `There are ${formatFiles(storedFiles(artifact))}.`;
    return { tone: "", title, lines: ["There is no report on how they were collected."] };
  }
  if (!job.startTime) return { tone: "", title: "The job never started, so it has no artifacts." };
  return { tone: "", title: "No files were collected.", lines: ["There is no report either."], hint: ADVICE_FOLDER };
}

/** The controller's message, unchanged: an administrator can search for it. @param {Partial<Artifact>} artifact */
function reasonLines({ message }) {
  return message ? [`Reason: ${message}.`] : [];
}

/** @param {Partial<Artifact>} artifact @returns {FileCount} */
function storedFiles({ totalCount, totalSize }) {
  return { files: totalCount ?? 0, bytes: totalSize ?? 0 };
}

/** @param {Report} report @returns {FileCount} */
function collectedFiles({ collected, inPlace }) {
  return { files: collected.files + inPlace.files, bytes: collected.bytes + inPlace.bytes };
}

/** @param {FileCount} count */
function wasOrWere({ files }) {
  return files === 1 ? "was" : "were";
}

/**
 * "The job wrote 1,204 files (230 MiB): 204 files and 130 MiB over the limit of 1,000 files and 100 MiB."
 * @param {Report} report
 * @param {string} [subject]
 */
function describeExcess({ found, limitFiles, limitBytes }, subject = "The job wrote") {
  const excess = [];
  if (found.files > limitFiles) excess.push(formatCount(found.files - limitFiles, "file"));
  if (found.bytes > limitBytes) excess.push(formatBytes(found.bytes - limitBytes));
  const limit = `${formatCount(limitFiles, "file")} and ${formatBytes(limitBytes)}`;
  if (!excess.length) return `${subject} ${formatFiles(found)}; the limit is ${limit}.`;
  return `${subject} ${formatFiles(found)}: ${excess.join(" and ")} over the limit of ${limit}.`;
}

/** How to stay within the limit, and how it can be changed. @param {Report | null} report */
function adviceOnLimit(report) {
  const advice = [];
  if (!report || report.found.files > report.limitFiles) advice.push("Pack many small files into one archive.");
  if (!report || report.found.bytes > report.limitBytes) {
    advice.push("Write large files to a project volume or to /phfs, and only results to the artifacts folder.");
  }
  if (!advice.length) advice.push("Write fewer or smaller files.");
  const partial = report?.overLimit === "keep"
    ? ""
    : ", or allow a partial collection (setting PHJOB_ARTIFACT_OVER_LIMIT=keep)";
  return `${advice.join(" ")} An administrator can raise the limit${partial}.`;
}
