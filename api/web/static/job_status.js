// A job's phase, reason and end: predicates, and their texts.

import { h } from "./dom.js";
import { formatDuration } from "./format.js";
import { icon } from "./icons.js";

const FINAL_PHASES = ["Succeeded", "Failed", "Cancelled"];
const BEING_CANCELLED = "Being cancelled";

/** @type {Record<string, [label: string, icon: import("./icons.js").IconName, tone: Tone]>} */
const PHASES = {
  Pending: ["Pending", "clock", ""],
  Preparing: ["Preparing", "clock", ""],
  Running: ["Running", "run", "busy"],
  Succeeded: ["Succeeded", "check", "good"],
  Failed: ["Failed", "cross", "bad"],
  Cancelled: ["Cancelled", "stop", ""],
  Unknown: ["Unknown", "warn", "warn"],
};

/** @type {Record<string, string>} */
const REASONS = {
  PodSucceeded: "The command succeeded.",
  PodFailed: "The command failed.",
  PodPending: "The job is waiting for its pod to start.",
  PodRunning: "The command is running.",
  PodUnknown: "The job's result is unknown: its pod, or the machine under it, was lost.",
  PodCreationFailed: "The job's pod could not be created.",
  OverRequeueLimit: "The job was given up because it could not be started after several attempts.",
  OverQuota: "The job is waiting until the group's quota has room for it.",
  Cancelled: "The job was cancelled.",
};

/** The phases that the list can be filtered by: [phase, label]. */
export const PHASE_OPTIONS = Object.entries(PHASES).map(([phase, [label]]) => [phase, label]);

/** The job's name: its display name, or its id if that is blank. @param {Pick<JobRow, "displayName" | "id">} job */
export function jobName({ displayName, id }) {
  return displayName?.trim() || id;
}

/** Whether the job's command has ended; the collector may still be running. @param {Pick<JobRow, "phase">} job */
export function hasEnded({ phase }) {
  return FINAL_PHASES.includes(phase ?? "");
}

/** Whether a cancellation was requested and the job has not ended yet. @param {Pick<JobRow, "phase" | "cancel">} job */
export function isBeingCancelled(job) {
  return job.cancel && !hasEnded(job);
}

/** Whether the collector is still running. @param {{ artifact: Pick<ArtifactRow, "state"> | null }} job */
export function isCollecting({ artifact }) {
  return ["syncing", "collecting"].includes(artifact?.state ?? "");
}

/**
 * Whether there is at least one file to list. A count is null if there are too many files to count.
 * @template {ArtifactRow} A
 * @param {{ artifact: A | null }} job
 * @returns {job is { artifact: A }}
 */
export function hasFiles(job) {
  const { artifact } = job;
  return artifact !== null && artifact.state !== "expired" && artifact.totalCount !== 0;
}

/** The phase as a chip: label, icon and colour. @param {JobRow} job */
export function phaseChip(job) {
  const [label, iconName, tone] = PHASES[job.phase ?? ""] ?? [job.phase ?? "Unknown", "warn", "warn"];
  if (isBeingCancelled(job)) return h("span", { class: "chip warn" }, icon(iconName), BEING_CANCELLED);
  return h("span", { class: `chip ${tone}` }, icon(iconName), label);
}

/** The reason for the job's phase, as a sentence. @param {Job} job */
export function describeReason(job) {
  if (isBeingCancelled(job)) return "The job is being cancelled. The command may use its grace period to end.";
  if (job.reason === "OverActivateDeadline") {
    const limit = job.activeDeadlineSeconds ? ` of ${formatDuration(job.activeDeadlineSeconds)}` : "";
    return `The job exceeded its time limit${limit} and was stopped.`;
  }
  if (job.artifact?.report?.main.reason === "OOMKilled" || /\bOOMKilled\b/.test(job.message ?? "")) {
    return "The job exceeded its memory limit and was killed.";
  }
  return REASONS[job.reason ?? ""] ?? (job.phase === "Pending" ? "The job is waiting to be started." : "");
}

// Messages that only repeat the reason or the exit code.
const REDUNDANT_MESSAGE =
  /^(main ended: (exit code \d+|killed by signal .*)|Job completed|Job is currently running|Cancelled by user)$/;

/** The job's message; "" if it adds nothing to the reason. @param {Pick<JobRow, "message">} job */
export function additionalMessage({ message }) {
  return !message || REDUNDANT_MESSAGE.test(message) ? "" : message;
}

/** The command's exit code: "0", "7", "none (killed by signal 9)"; null if it is not known. @param {Job} job */
export function formatExitCode(job) {
  const { exitCode, signal } = job.artifact?.report?.main ?? {};
  if (typeof exitCode === "number") return String(exitCode);
  if (typeof signal === "number") return killedBy(signal);
  if (!hasEnded(job)) return null;
  const code = /\bexit code (\d+)\b/.exec(job.message ?? "");
  if (code) return code[1];
  const killed = /\bkilled by signal (\d+)/.exec(job.message ?? "");
  if (killed) return killedBy(killed[1]);
  return job.reason === "PodSucceeded" ? "0" : null;
}

/** @param {number | string} signal */
function killedBy(signal) {
  return `none (killed by signal ${signal})`;
}
