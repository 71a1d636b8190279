// Downloads: ranges of files for previews, and saving files.

import { readError, send, sendAuthenticated } from "../api.js";
import { ApiError } from "../errors.js";

/**
 * Read a range of a file. Throws ApiError.
 * @param {string} url
 * @param {number} start negative: the last bytes of the file
 * @param {number} length
 * @param {AbortSignal} signal
 */
export async function readRange(url, start, length, signal) {
  const range = start < 0 ? `${start}` : `${start}-${start + length - 1}`;
  const response = await sendAuthenticated(url, { headers: { Range: `bytes=${range}` }, signal });
  if (response.status === 416) return new Uint8Array();
  if (!response.ok) throw await readError(response);
  return new Uint8Array(await response.arrayBuffer());
}

/**
 * Have the browser save the file at `url`. Throws ApiError if the API refuses it: a plain link would replace the page
 * with the API's error.
 * @param {string} url
 */
export async function saveFile(url) {
  const response = await sendAuthenticated(url, { method: "HEAD" });
  if (!response.ok) throw await fetchError(url);
  location.assign(url);
}

/** Repeat a refused request with GET: the response to HEAD has no message. @param {string} url */
async function fetchError(url) {
  const controller = new AbortController();
  const response = await send(url, { signal: controller.signal });
  if (!response.ok) return readError(response);
  controller.abort();
  return new ApiError("UNAVAILABLE", "The first attempt to download failed. Retry the download.", 503);
}
