// Who is signed in, and how one signs in here. The token itself is in a cookie that no script can read.

import { inTime, read, Refusal, send } from "./ask.js";

const URL_OF_SESSION = "/api/session";
const others = new BroadcastChannel("session"); // the other pages of this browser, which share the session

/** The token that the address brings, as local mode's does, or "". It is taken out of what the address bar shows. */
export function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token === null) return "";
  history.replaceState(history.state, "", location.pathname + location.search);
  return token;
}

/** What the service says of this browser's session. Throws Refusal. */
export async function askSession() {
  return answer(await send(URL_OF_SESSION, { headers: { Accept: "application/json" }, signal: inTime() }));
}

/** Signs in with a token; answers as `askSession`. Throws Refusal where it is not accepted. */
export async function signIn(token) {
  return change({ method: "POST", body: JSON.stringify({ token }) });
}

/** As `askSession`, one page of this browser at a time: the service may renew a session, and each renewal counts once. */
export async function askSessionAlone() {
  return navigator.locks ? navigator.locks.request("session", askSession) : askSession();
}

/** Forgets the session, here and in the browser. Answers { signOutUrl }: where it ends elsewhere too, or null. */
export async function signOut() {
  return change({ method: "DELETE" });
}

/** Have `listener()` called when another page has changed the session, or this one is looked at again, and may have. */
export function onOthersSession(listener) {
  others.onmessage = listener;
  document.addEventListener("visibilitychange", () => { if (!document.hidden) listener(); });
}

async function change(options) {
  const headers = { "Content-Type": "application/json" };
  const changed = await answer(await send(URL_OF_SESSION, { ...options, headers, signal: inTime() }));
  others.postMessage(null);
  return changed;
}

async function answer(response) {
  const body = await read(response);
  if (response.ok) return body;
  const { code = "UNAVAILABLE", message = "The service does not answer as it should." } = body?.error ?? {};
  throw new Refusal(code, message, response.status);
}
