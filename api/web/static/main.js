// The page: asks who is signed in, then shows the address's view; without a session, the sign-in view in its place.

import { onLostSession } from "./ask.js";
import { h } from "./dom.js";
import { tick } from "./format.js";
import { jobView } from "./job/view.js";
import { jobsView } from "./jobs/view.js";
import { nowhereView } from "./nowhere.js";
import { again, startRouter } from "./router.js";
import { askSession, askSessionAlone, onOthersSession, signIn, signOut, takeToken } from "./session.js";
import { shown } from "./names.js";
import { signInView } from "./signin.js";
import { problem, toast } from "./tell.js";

const TICK_MS = 20_000;
const RENEW_MS = 20_000; // before a session expires: the service renews what has less than 30 seconds
const LONGEST_MS = 2 ** 31 - 1; // what a timer can wait
const main = document.getElementById("main");
let session = null;
let isStarted = false;
let token = "";
let asking = null;
let renewal = 0;

const routes = [
  { pattern: /^\/(?:jobs\/?)?$/, view: signedIn(jobsView) },
  { pattern: /^\/jobs\/([^/]+)(?:\/(artifacts))?\/?$/, view: signedIn(jobView) },
  { pattern: /^/, view: nowhereView },
];

/** The view where somebody is signed in, else the sign-in view, which comes back to the same place. */
function signedIn(view) {
  return (place, signal) => (session.user ? view(place, signal, session) : signInView(session, enter));
}

function enter(next) {
  keep(next);
  showAccount();
  if (isStarted) return again();
  isStarted = true;
  return startRouter(main, routes);
}

/** Have it, and have it renewed in time where the service can: files that a tab opens do not come back to ask anew. */
function keep(next) {
  session = next;
  clearTimeout(renewal);
  const wait = session.user && session.expiresAt ? Date.parse(session.expiresAt) - Date.now() - RENEW_MS : 0;
  if (wait > 0 && wait < LONGEST_MS) renewal = setTimeout(lookAgain, wait);
}

function showAccount() {
  const { user, canSignOut } = session;
  document.getElementById("account").replaceChildren(
    ...(user ? [shown(user.username, { title: user.username })] : []),
    ...(user && canSignOut ? [h("button", { type: "button", class: "plain", onclick: leave }, "Sign out")] : []),
  );
}

async function leave() {
  try {
    const { signOutUrl } = await signOut();
    if (signOutUrl) return location.assign(signOutUrl);
  } catch (error) {
    return toast(`You are still signed in. ${error.message}`);
  }
  return enter({ ...session, user: null, notice: "You have signed out." });
}

async function start() {
  token = takeToken() || token;
  try {
    const known = await askSessionAlone();
    enter(token && known.local ? await signInWith(token) : known);
    token = "";
  } catch (error) {
    main.replaceChildren(
      problem("The page cannot be shown.", error.message, h("button", { type: "button", onclick: start }, "Try again")),
    );
  }
}

/**
 * The session that the address's token gives, in local mode alone: elsewhere a link could sign people in as another.
 * Where it is not accepted, the one that there is, and why.
 */
async function signInWith(token) {
  try {
    return await signIn(token);
  } catch (error) {
    if (error.isPassing) throw error;
    return { ...(await askSession()), notice: `The token in the address is not accepted. ${error.message}` };
  }
}

/** Whether the session has ended, or is another's, so that another view is shown; else it was renewed. */
async function isOver() {
  asking ??= askSessionAlone().finally(() => { asking = null; });
  const next = await asking;
  const isSame = follow(next);
  return !next.user || !isSame;
}

/** Show the session that there is. Answers whether it is still the same person's. */
function follow(next) {
  const isSame = JSON.stringify(next.user) === JSON.stringify(session.user);
  if (isSame) keep(next);
  else enter(next.user ? next : { ...next, notice: "Your session has ended. Sign in again to go on." });
  return isSame;
}

async function lookAgain() {
  if (isStarted) await isOver().catch(() => {}); // what is asked next tells
}

onLostSession(isOver);
onOthersSession(lookAgain);
addEventListener("hashchange", () => { if (location.hash.startsWith("#token=")) start(); });
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address stays: "back" is for places, not for parts of one
  main.focus();
});
setInterval(tick, TICK_MS);
start();
