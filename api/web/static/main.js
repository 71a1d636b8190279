// The page: asks who is signed in, then shows the address's view; without a session, the sign-in view in its place.

import { onLostSession } from "./ask.js";
import { h } from "./dom.js";
import { tick } from "./format.js";
import { jobView } from "./job/view.js";
import { jobsView } from "./jobs/view.js";
import { nowhereView } from "./nowhere.js";
import { again, startRouter } from "./router.js";
import { askSession, signOut } from "./session.js";
import { shown } from "./names.js";
import { signInView } from "./signin.js";
import { problem } from "./tell.js";

const TICK_MS = 20_000;
const main = document.getElementById("main");
let session = null;
let isStarted = false;

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
  session = next;
  showAccount();
  if (isStarted) return again();
  isStarted = true;
  return startRouter(main, routes);
}

function showAccount() {
  const { user, canSignOut } = session;
  document.getElementById("account").replaceChildren(
    ...(user ? [shown(user.username, { title: user.username })] : []),
    ...(user && canSignOut ? [h("button", { type: "button", class: "plain", onclick: leave }, "Sign out")] : []),
  );
}

async function leave() {
  await signOut();
  enter({ ...session, user: null, notice: "You have signed out." });
}

async function start() {
  try {
    enter(await askSession());
  } catch (error) {
    main.replaceChildren(
      problem("The page cannot be shown.", error.message, h("button", { type: "button", onclick: start }, "Try again")),
    );
  }
}

onLostSession(() => {
  if (session?.user) enter({ ...session, user: null, notice: "Your session has ended. Sign in again to go on." });
});
setInterval(tick, TICK_MS);
start();
