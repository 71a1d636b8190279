// Which view an address shows. Addresses are plain paths, so every place can be linked to, and "back" works.
//
// A route is { pattern, view }: `view(place, signal)` is called with the place and a signal that ends with the view;
// it answers { element, title, ready, update }:
//   element  what is shown; its <h1> takes the focus, so that a screen reader tells where one is
//   title    the document's title (a view may change it later by `place.setTitle`)
//   ready    (optional) a promise: once it is done, a place gone back to can be scrolled to where it was left
//   update   (optional) `update(place)`: true if the view shows another place of its own (another tab, another query)
// A place is { args, params, setTitle }: what the pattern's groups matched, decoded, and the query.

import { h } from "./dom.js";

const PRODUCT = "Job artifacts";
const SCROLL_MS = 150;

let main = null;
let routes = [];
let current = null;

/** Show the address's view in `element`, now and whenever the address changes. */
export function startRouter(element, table) {
  [main, routes] = [element, table];
  history.scrollRestoration = "manual";
  addEventListener("popstate", () => show({ scroll: history.state?.scroll ?? 0 }));
  addEventListener("scroll", debounced(noteScroll, SCROLL_MS), { passive: true });
  show({ isFirst: true, scroll: history.state?.scroll ?? 0 });
}

/**
 * Go to an address of our own. `replace`: in place of the one that is shown, which "back" then skips.
 * `stay`: what is shown stays where it is scrolled to, as under a dialog.
 */
export function go(url, { replace = false, stay = false } = {}) {
  if (!replace) noteScroll();
  history[replace ? "replaceState" : "pushState"](replace ? history.state : null, "", url);
  show({ scroll: replace || stay ? null : 0 });
}

/** Show the current address anew, by a new view. */
export function again() {
  close();
  show({});
}

/** A link to an address of our own. With a modifier key the browser opens it elsewhere, as ever. */
export function link(url, ...children) {
  const props = children[0]?.constructor === Object ? children.shift() : {};
  return h("a", { ...props, href: url, onclick: follow }, ...children);
}

/** A listener for clicks on an <a> to an address of our own. */
export function follow(event) {
  const isPlain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
  if (!isPlain || event.defaultPrevented) return;
  event.preventDefault();
  const { pathname, search } = event.currentTarget;
  go(pathname + search);
}

function show({ isFirst = false, scroll = null }) {
  const [route, args] = find(location.pathname);
  const place = { args, params: new URLSearchParams(location.search), setTitle };
  if (current?.route === route && current.view.update?.(place)) return restore(scroll);
  close();
  const leaving = new AbortController();
  current = { route, leaving, view: route.view(place, leaving.signal) };
  setTitle(current.view.title);
  main.replaceChildren(current.view.element);
  if (!isFirst) focusHeading();
  return restore(scroll);
}

/** Leaves the view, and what it has asked the reader. */
function close() {
  current?.leaving.abort();
  current = null;
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
}

function find(path) {
  for (const route of routes) {
    const match = route.pattern.exec(path);
    if (match) return [route, match.slice(1).map((part) => part && decode(part))];
  }
  throw new Error("no route: the last one matches everything");
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function setTitle(title) {
  document.title = title ? `${title} · ${PRODUCT}` : PRODUCT;
}

/** Give the focus to the view's heading: where one goes to, or where what had it is gone. */
export function focusHeading() {
  const heading = main.querySelector("h1");
  heading?.setAttribute("tabindex", "-1");
  heading?.focus({ preventScroll: true });
}

async function restore(scroll) {
  if (scroll === null) return;
  const shown = current;
  if (scroll) await shown.view.ready;
  if (shown === current) scrollTo(0, scroll);
}

function noteScroll() {
  history.replaceState({ ...history.state, scroll: Math.round(scrollY) }, "");
}

function debounced(call, ms) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(call, ms);
  };
}
