// Starts the page: reads the session and shows the view for the address, or the sign-in view without a session.

import { onUnauthenticated } from "./api.js";
import { elementById, h } from "./dom.js";
import { isTransient, messageOf } from "./errors.js";
import { refreshRelativeTimes } from "./format.js";
import { jobView } from "./job/view.js";
import { jobsView } from "./jobs/view.js";
import { notFoundView } from "./not_found.js";
import { errorNotice, retryButton, toast } from "./notify.js";
import { reload, startRouter } from "./router.js";
import {
  fetchSession, fetchSessionExclusively, onSessionChange, signIn, signOut, takeTokenFromAddress,
} from "./session.js";
import { signInView } from "./sign_in.js";
import { nameElement } from "./untrusted_text.js";

const TIMES_REFRESH_MS = 20_000;
const RENEW_BEFORE_EXPIRY_MS = 20_000; // the service renews a session with less than 30 seconds left
const MAX_TIMER_MS = 2 ** 31 - 1;
const main = elementById("main");
/** @type {Session} */
let session;
let isStarted = false;
let token = "";
/** @type {Promise<Session> | null} */
let sessionRequest = null;
let renewalTimer = 0;

/** @type {Route[]} */
const routes = [
  { pattern: /^\/(?:jobs\/?)?$/, view: requireSession(jobsView) },
  { pattern: /^\/jobs\/([^/]+)(?:\/(artifacts))?\/?$/, view: requireSession(jobView) },
  { pattern: /^/, view: notFoundView },
];

/**
 * The view if a user is signed in, else the sign-in view, after which the user is back at the same address.
 * @param {(match: RouteMatch, signal: AbortSignal, session: SignedInSession) => View} view
 * @returns {Route["view"]}
 */
function requireSession(view) {
  return (match, signal) => {
    const { user } = session;
    return user ? view(match, signal, { ...session, user }) : signInView(session, applySession);
  };
}

/** Show the page for a session of another user. @param {Session} next */
function applySession(next) {
  storeSession(next);
  showAccount();
  if (isStarted) return reload();
  isStarted = true;
  return startRouter(main, routes);
}

/**
 * Store the session and schedule its renewal: a file that opens in a new tab cannot renew the session itself.
 * @param {Session} next
 */
function storeSession(next) {
  session = next;
  clearTimeout(renewalTimer);
  const expiry = session.user && session.expiresAt ? Date.parse(session.expiresAt) : 0;
  const delay = expiry - Date.now() - RENEW_BEFORE_EXPIRY_MS;
  if (delay > 0 && delay < MAX_TIMER_MS) renewalTimer = setTimeout(checkSession, delay);
}

function showAccount() {
  const { user, canSignOut } = session;
  elementById("account").replaceChildren(
    ...(user ? [nameElement(user.username, { title: user.username })] : []),
    ...(user && canSignOut ? [h("button", { type: "button", class: "plain", onclick: leave }, "Sign out")] : []),
  );
}

async function leave() {
  try {
    const { signOutUrl } = await signOut();
    if (signOutUrl) return location.assign(signOutUrl);
  } catch (error) {
    return toast(`You are still signed in. ${messageOf(error)}`);
  }
  return applySession({ ...session, user: null, notice: "You have signed out." });
}

async function start() {
  token = takeTokenFromAddress() || token;
  try {
    const existing = await fetchSessionExclusively();
    applySession(token && existing.local ? await signInWithAddressToken(token) : existing);
    token = "";
  } catch (error) {
    main.replaceChildren(errorNotice("The page cannot be shown.", messageOf(error), retryButton(start)));
  }
}

/**
 * Sign in with the token in the address. Only local mode does this: elsewhere a link could sign people in as another
 * user. If the token is not accepted, returns the existing session with a notice.
 * @param {string} addressToken
 * @returns {Promise<Session>}
 */
async function signInWithAddressToken(addressToken) {
  try {
    return await signIn(addressToken);
  } catch (error) {
    if (isTransient(error)) throw error;
    return { ...(await fetchSession()), notice: `The token in the address was not accepted. ${messageOf(error)}` };
  }
}

/**
 * Read the session again. Returns false if it was renewed for the same user. Returns true if it ended or is another
 * user's, and then shows another view.
 */
async function isSessionLost() {
  sessionRequest ??= fetchSessionExclusively().finally(() => { sessionRequest = null; });
  const next = await sessionRequest;
  const isSameUser = JSON.stringify(next.user) === JSON.stringify(session.user);
  if (isSameUser) storeSession(next);
  else applySession(next.user ? next : { ...next, notice: "Your session has ended. Sign in again to continue." });
  return !next.user || !isSameUser;
}

async function checkSession() {
  if (isStarted) await isSessionLost().catch(() => {}); // the next request reports the error
}

onUnauthenticated(isSessionLost);
onSessionChange(checkSession);
addEventListener("hashchange", () => { if (location.hash.startsWith("#token=")) start(); });
document.querySelector(".skip-link")?.addEventListener("click", (event) => {
  event.preventDefault(); // a change of the address would add a history entry
  main.focus();
});
setInterval(refreshRelativeTimes, TIMES_REFRESH_MS);
start();
