// A job's phase and reason in words. Pure, but for the chip.

import { h } from "./dom.js";
import { duration } from "./format.js";
import { icon } from "./icons.js";

const FINAL = ["Succeeded", "Failed", "Cancelled"];

// Each phase: its word, its sign, its tone.
const PHASES = {
  Pending: ["Waiting", "clock", ""],
  Preparing: ["Preparing", "clock", ""],
  Running: ["Running", "run", "busy"],
  Succeeded: ["Succeeded", "check", "good"],
  Failed: ["Failed", "cross", "bad"],
  Cancelled: ["Cancelled", "stop", ""],
  Unknown: ["Unknown", "warn", "warn"],
};

const REASONS = {
  PodSucceeded: "The command ended without an error.",
  PodFailed: "The command ended with an error.",
  PodPending: "It waits for its pod to start.",
  PodRunning: "The command is running.",
  PodUnknown: "How it ended is not known: its pod, or the machine under it, was gone.",
  PodCreationFailed: "Its pod could not be made.",
  OverRequeueLimit: "It was given up after it could not be started several times.",
  OverQuota: "It waits until the group's quota has room for it.",
  Cancelled: "It was cancelled.",
};

/** The phases that the list can be narrowed to, with their words. */
export const PHASE_WORDS = Object.entries(PHASES).map(([phase, [word]]) => [phase, word]);

/** Whether the job's command has ended, in whatever way; the sidecar may still be collecting. */
export function hasEnded(job) {
  return FINAL.includes(job.phase);
}

/** The phase as a chip: word, sign and colour. */
export function phaseChip(job) {
  const [word, sign, tone] = PHASES[job.phase] ?? [job.phase ?? "Unknown", "warn", "warn"];
  const isEnding = job.cancel && !hasEnded(job);
  return h("span", { class: `chip ${isEnding ? "warn" : tone}` }, icon(sign), isEnding ? "Being cancelled" : word);
}

/** Why it is as it is, as a sentence. */
export function reasonWords(job) {
  if (job.cancel && !hasEnded(job)) return "It was asked to end, and may take its grace period to do so.";
  if (job.reason === "OverActivateDeadline") {
    const most = job.activeDeadlineSeconds ? `${duration(job.activeDeadlineSeconds)} that it may` : "it may";
    return `It ran longer than ${most}, and was ended.`;
  }
  if (job.artifact?.report?.main.reason === "OOMKilled" || /\bOOMKilled\b/.test(job.message ?? "")) {
    return "It needed more memory than it may have, and was killed.";
  }
  return REASONS[job.reason] ?? (job.phase === "Pending" ? "It waits for its turn." : "");
}

// What a message says that the reason, or the exit code, has said already.
const SAID = /^(main ended: (exit code \d+|killed by signal .*)|Job completed|Job is currently running|Cancelled by user)$/;

/** What was told beside the reason; "" where that says no more. */
export function messageWords({ message }) {
  return !message || SAID.test(message) ? "" : message;
}

/** How the command ended: "0", "7", "killed by signal 9"; null where nobody knows. */
export function exitWords(job) {
  const { exitCode, signal } = job.artifact?.report?.main ?? {};
  if (typeof exitCode === "number") return String(exitCode);
  if (typeof signal === "number") return `none: killed by signal ${signal}`;
  if (!hasEnded(job)) return null;
  const told = /\bexit code (\d+)\b/.exec(job.message ?? "");
  if (told) return told[1];
  const killed = /\bkilled by signal (\d+)/.exec(job.message ?? "");
  if (killed) return `none: killed by signal ${killed[1]}`;
  return job.reason === "PodSucceeded" ? "0" : null;
}
