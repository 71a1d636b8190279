// Parts of files, for previews: no more is asked for than is shown.

import { Refusal, refused, send, sendSigned } from "../ask.js";

/** The bytes of the file from `start`, or its last ones where `start` is negative. Throws Refusal. */
export async function readPart(url, start, length, signal) {
  const range = start < 0 ? `${start}` : `${start}-${start + length - 1}`;
  const response = await sendSigned(url, { headers: { Range: `bytes=${range}` }, signal });
  if (response.status === 416) return new Uint8Array();
  if (!response.ok) throw await refused(response);
  return new Uint8Array(await response.arrayBuffer());
}

/**
 * Has the browser save what is at `url`, if the API gives it. Throws Refusal: followed as it is, a link to something
 * that is refused would put the API's words in the page's place.
 */
export async function save(url) {
  const asked = await sendSigned(url, { method: "HEAD" });
  if (!asked.ok) throw await refusedAnew(url);
  location.assign(url);
}

/** An answer to HEAD has no words; one to GET has. */
async function refusedAnew(url) {
  const ending = new AbortController();
  const response = await send(url, { signal: ending.signal });
  if (!response.ok) return refused(response);
  ending.abort();
  return new Refusal("UNAVAILABLE", "The service did not give it at first. Try again.", 503);
}
