// Who is signed in, and how one signs in here. The token itself is in a cookie that no script can read.

import { read, Refusal, send } from "./ask.js";

const URL_OF_SESSION = "/api/session";

/** The token that the address brings, as local mode's does, or "". It is taken out of what the address bar shows. */
export function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token === null) return "";
  history.replaceState(history.state, "", location.pathname + location.search);
  return token;
}

/** What the service says of this browser's session. Throws Refusal. */
export async function askSession() {
  return answer(await send(URL_OF_SESSION, { headers: { Accept: "application/json" } }));
}

/** Signs in with a token; answers as `askSession`. Throws Refusal where it is not accepted. */
export async function signIn(token) {
  return answer(
    await send(URL_OF_SESSION, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token }),
    }),
  );
}

/** As `askSession`, one page of this browser at a time: the service may renew a session, and each renewal counts once. */
export async function askSessionAlone() {
  return navigator.locks ? navigator.locks.request("session", askSession) : askSession();
}

/** Forgets the session, here and in the browser. Answers { signOutUrl }: where it ends elsewhere too, or null. */
export async function signOut() {
  return answer(await send(URL_OF_SESSION, { method: "DELETE", headers: { "Content-Type": "application/json" } }));
}

async function answer(response) {
  const body = await read(response);
  if (response.ok) return body;
  const { code = "UNAVAILABLE", message = "The service does not answer as it should." } = body?.error ?? {};
  throw new Refusal(code, message, response.status);
}
