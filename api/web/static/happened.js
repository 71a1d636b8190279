// What became of a job's artifacts, in words that who made the job understands. Pure: no elements.
//
// happened(job) answers { tone, title, lines, hint, left, unstable }:
//   tone      good, warn, bad, busy or ""
//   title     a sentence
//   lines     more of them, as texts; { since: ISO time, text: [before, after] } where one tells a time
//   hint      what the reader can do, or ""
//   left      [{ title, hint, detail, files, paths }]: files that were left out, for each reason
//   unstable  paths of files that changed while they were copied

import { bytes, count } from "./format.js";
import { hasEnded } from "./phase.js";
import { leftOut } from "./leftout.js";

const WHERE = "Write what is to be kept to the folder artifacts in the working directory (/home/jovyan/artifacts).";
const ASK = "Ask your administrator: the job's events and the collector's log tell more.";

export function happened(job) {
  const artifact = job.artifact ?? {};
  const report = artifact.report ?? null;
  const state = artifact.state ?? null;
  const told = (hasEnded(job) ? ENDED[state] ?? nothingKnown : running)(job, artifact, report);
  const isGone = state === "expired";
  return {
    lines: [],
    hint: "",
    ...told,
    left: isGone ? [] : leftOut(report?.skipped ?? []),
    unstable: isGone ? [] : report?.unstable ?? [],
  };
}

/** "3 files (2.5 KiB)". */
export function filesAndSize({ files, bytes: size }) {
  return `${count(files, "file")} (${bytes(size)})`;
}

const ENDED = {
  sealed, rejected, incomplete, empty, expired,
  syncing: collecting,
  collecting,
  unknown,
  "not-injected": notInjected,
};

function running(job, artifact, report) {
  const so = artifact.totalCount ? ` So far there are ${filesAndSize(total(artifact))}.` : "";
  if (report?.limitExceeded) {
    const title = "The job has passed the limit on what is kept.";
    const fate = report.overLimit === "keep" ? "Only what fits is kept." : "If it ends like this, nothing of it is kept.";
    return { tone: "warn", title, lines: [`${limits(report, "There are")} ${fate}`], hint: fewer(report) };
  }
  if (!job.startTime) return { tone: "", title: "The job has not started yet.", lines: ["What it leaves is shown here."] };
  return { tone: "busy", title: "The job is running.", lines: [`A file is collected once it has come to rest.${so}`] };
}

function collecting(job, artifact) {
  const so = artifact.totalCount ? `${filesAndSize(total(artifact))} are there already.` : "";
  return { tone: "busy", title: "The job has ended; the last files are being collected.", lines: so ? [so] : [] };
}

function sealed(job, artifact, report) {
  const kept = report ? keptOf(report) : total(artifact);
  if (report?.limitExceeded) return partly(report, kept);
  if (!kept.files) return { tone: "", title: "There are no files.", hint: WHERE };
  const lines = [];
  if (report?.inPlace.files) {
    lines.push(`${filesAndSize(report.inPlace)} of them lay in the job's folder in the store already.`);
  }
  return { tone: "good", title: `All of it was collected: ${filesAndSize(kept)}.`, lines };
}

function partly(report, kept) {
  const title = `Only a part was kept: ${filesAndSize(kept)} of ${filesAndSize(report.found)}.`;
  const which = report.overLimit === "keep"
    ? "What fits was kept, in the order of the paths."
    : "It grew past the limit while the last files were copied, so nothing more was kept.";
  return { tone: "warn", title, lines: [limits(report), which], hint: fewer(report) };
}

function rejected(job, artifact, report) {
  const title = "Nothing was kept: the job left more than is allowed.";
  if (!report) return { tone: "bad", title, hint: fewer(null) };
  const lines = [limits(report)];
  if (report.inPlace.files) lines.push(`${filesAndSize(report.inPlace)} lay in the store already, and are still there.`);
  return { tone: "bad", title, lines, hint: fewer(report) };
}

function incomplete(job, artifact, report) {
  if (!report?.sealedAt) return interrupted(artifact, report);
  const kept = keptOf(report);
  const title = `Some files are missing: ${count(kept.files)} of ${count(report.found.files, "file")} were collected.`;
  const lines = [];
  if (report.limitExceeded) lines.push(limits(report));
  if (!report.skipped.length) lines.push("The job left more files than the collector looks at.");
  return { tone: "warn", title, lines, hint: report.limitExceeded ? fewer(report) : "" };
}

function interrupted(artifact, report) {
  const lines = ["The job's pod was killed, evicted or lost its machine before the last files could be copied."];
  if (report?.updatedAt) lines.push({ since: report.updatedAt, text: ["What the job changed after ", " is missing."] });
  if (artifact.totalCount) lines.push(`What had been copied by then is there: ${filesAndSize(total(artifact))}.`);
  return {
    tone: "warn",
    title: "The collection was interrupted.",
    lines,
    hint: "Run the job again if something is missing. Files that are written early are collected while the job runs.",
  };
}

function empty(job, artifact, report) {
  if (report?.skipped.length) {
    return { tone: "warn", title: "Nothing was kept: all that the job left was left out.", hint: "" };
  }
  return { tone: "", title: "The job left no files.", hint: WHERE };
}

function expired(job, artifact, report) {
  const lines = [];
  const since = artifact.expiredAt;
  if (since) lines.push({ since, text: ["They were kept until ", ", then their time was over or somebody deleted them."] });
  if (report && keptOf(report).files) lines.push(`There were ${filesAndSize(keptOf(report))}.`);
  return {
    tone: "",
    title: "The artifacts are not kept any more.",
    lines,
    hint: "They cannot be brought back. Run the job again, and keep longer or pin what it leaves.",
  };
}

function unknown(job, artifact) {
  const has = artifact.totalCount ? `${filesAndSize(total(artifact))} are there; there may have been more.` : "";
  const title = "It is not known whether all was collected.";
  return { tone: "warn", title, lines: [why(artifact), has].filter(Boolean), hint: ASK };
}

function notInjected(job, artifact) {
  const title = "Nothing was collected: the job ran without the collector.";
  const has = artifact.totalCount ? `${filesAndSize(total(artifact))} are in the job's folder all the same.` : "";
  return { tone: "warn", title, lines: [why(artifact), has].filter(Boolean), hint: ASK };
}

/** The controller's own words, which an administrator can look for. */
function why({ message }) {
  return message ? `The reason: ${message}.` : "";
}

function nothingKnown(job, artifact) {
  if (artifact.totalCount) {
    return { tone: "", title: `There are ${filesAndSize(total(artifact))}.`, lines: ["No report tells how they were collected."] };
  }
  if (!job.startTime) return { tone: "", title: "The job never started, so it left nothing." };
  return { tone: "", title: "Nothing was collected.", lines: ["There is no report either."], hint: WHERE };
}

function total(artifact) {
  return { files: artifact.totalCount, bytes: artifact.totalSize };
}

function keptOf({ collected, inPlace }) {
  return { files: collected.files + inPlace.files, bytes: collected.bytes + inPlace.bytes };
}

/** "It left 1,204 files (230 MiB); 1,000 files (100 MiB) are allowed: 204 files and 130 MiB too much." */
function limits({ found, limitFiles, limitBytes }, left = "It left") {
  const over = [];
  if (found.files > limitFiles) over.push(count(found.files - limitFiles, "file"));
  if (found.bytes > limitBytes) over.push(bytes(found.bytes - limitBytes));
  const excess = over.length ? `: ${over.join(" and ")} too much` : "";
  return `${left} ${filesAndSize(found)}; ${filesAndSize({ files: limitFiles, bytes: limitBytes })} are allowed${excess}.`;
}

/** What would fit. */
function fewer(report) {
  const ways = [];
  if (!report || report.found.files > report.limitFiles) ways.push("pack many small files into one archive");
  if (!report || report.found.bytes > report.limitBytes) {
    ways.push("write large files to a project volume or to /phfs, and leave only what is to be looked at");
  }
  const keep = report?.overLimit === "keep" ? "" : ", or have what fits kept (PHJOB_ARTIFACT_OVER_LIMIT=keep)";
  const sentence = ways.join("; ") || "leave less";
  return `${sentence[0].toUpperCase()}${sentence.slice(1)}. An administrator can raise the limit${keep}.`;
}
