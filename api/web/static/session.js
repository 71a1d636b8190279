// The user's session: reading it, signing in and out. The token is in a cookie that scripts cannot read.

import { readJson, send, withTimeout } from "./api.js";
import { ApiError } from "./errors.js";

const SESSION_URL = "/api/session";
const otherPages = new BroadcastChannel("session"); // the other pages of this browser, which share the session

/** Return the token in the address's fragment (local mode), or "", and remove it from the address bar. */
export function takeTokenFromAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token === null) return "";
  history.replaceState(history.state, "", location.pathname + location.search);
  return token;
}

/** Read this browser's session. Throws ApiError. @returns {Promise<Session>} */
export async function fetchSession() {
  return parse(await send(SESSION_URL, { headers: { Accept: "application/json" }, signal: withTimeout() }));
}

/**
 * Like `fetchSession`, but only one page of this browser at a time: the service may renew the session, and a refresh
 * token can be used once.
 * @returns {Promise<Session>}
 */
export async function fetchSessionExclusively() {
  return navigator.locks ? navigator.locks.request("session", fetchSession) : fetchSession();
}

/** Sign in with a token. Throws ApiError if it is not accepted. @param {string} token @returns {Promise<Session>} */
export async function signIn(token) {
  return change({ method: "POST", body: JSON.stringify({ token }) });
}

/**
 * End the session. `signOutUrl` is the page that ends the session with the identity provider too, or null.
 * @returns {Promise<{ signOutUrl: string | null }>}
 */
export async function signOut() {
  return change({ method: "DELETE" });
}

/**
 * Call `listener` when another page of this browser has changed the session, and when this page becomes visible again:
 * signing in with an identity provider notifies no other page.
 * @param {() => void} listener
 */
export function onSessionChange(listener) {
  otherPages.onmessage = listener;
  document.addEventListener("visibilitychange", () => { if (!document.hidden) listener(); });
}

/**
 * Whether the user may cancel, run, extend, pin and delete in the group. The API decides; this only hides the buttons.
 * Groups with the same group path are the same group.
 * @param {User} user
 * @param {string | null} group
 */
export function canChange(user, group) {
  return user.isAdmin || user.groups.some((own) => groupPath(own) === groupPath(group ?? ""));
}

/** @param {string} group */
function groupPath(group) {
  return group.toLowerCase().replaceAll("_", "-");
}

/** @param {RequestInit} options */
async function change(options) {
  const headers = { "Content-Type": "application/json" };
  const result = await parse(await send(SESSION_URL, { ...options, headers, signal: withTimeout() }));
  otherPages.postMessage(null);
  return result;
}

/** @param {Response} response */
async function parse(response) {
  const body = await readJson(response);
  if (response.ok) return body;
  const { code = "UNAVAILABLE", message = "The service sent an invalid response." } = body?.error ?? {};
  throw new ApiError(code, message, response.status);
}
