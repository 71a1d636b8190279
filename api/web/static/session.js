// Who is signed in, and how one signs in here. The token itself is in a cookie that no script can read.

import { read, Refusal, send } from "./ask.js";

const URL_OF_SESSION = "/api/session";

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

/** Forgets the session, here and in the browser. */
export async function signOut() {
  await send(URL_OF_SESSION, { method: "DELETE", headers: { "Content-Type": "application/json" } });
}

async function answer(response) {
  const body = await read(response);
  if (response.ok) return body;
  const { code = "UNAVAILABLE", message = "The service does not answer as it should." } = body?.error ?? {};
  throw new Refusal(code, message, response.status);
}
