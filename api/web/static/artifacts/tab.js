// A placeholder.

import { h } from "../dom.js";

/**
 * The Artifacts tab of a job that has ended. `job`: as the job page has asked for it (job/query.js).
 * `params`: the address's query (URLSearchParams); `onParams(params, { replace })` changes it.
 * Answers { element, update, close }: `update(job, params)` is called when the job was asked for anew, and when
 * the address's query has changed, by `onParams` or by "back".
 */
export function artifactsTab({ job, params, onParams }) {
  const element = h("div", null, "…");
  return { element, update(job, params) {}, close() {} };
}
