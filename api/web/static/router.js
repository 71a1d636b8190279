// Shows the view for the address. Addresses are plain paths, so every view can be linked to, and "back" works.
//
// `view(match, signal)` of a route returns a View; `signal` aborts when the user leaves it. A View is:
//   element  its <h1> takes the focus, so that a screen reader reads where the user is
//   title    the document's title; the view can change it later with `match.setTitle`
//   ready    (optional) a promise; the scroll position is restored once it is resolved
//   update   (optional) returns true if the view can show another match of its own route (another tab, another query)

import { h, isPlainClick } from "./dom.js";

const PRODUCT = "Job artifacts";
const SCROLL_SAVE_MS = 150;

/** @type {Element} */
let main;
/** @type {Route[]} */
let routes = [];
/** @type {{ route: Route, controller: AbortController, view: View } | null} */
let current = null;

/**
 * Show the view for the address in `element`, now and after each change of the address.
 * @param {Element} element
 * @param {Route[]} table the last route matches every address
 */
export function startRouter(element, table) {
  [main, routes] = [element, table];
  history.scrollRestoration = "manual";
  addEventListener("popstate", () => show({ scroll: history.state?.scroll ?? 0 }));
  addEventListener("scroll", debounce(saveScroll, SCROLL_SAVE_MS), { passive: true });
  show({ isFirst: true, scroll: history.state?.scroll ?? 0 });
}

/**
 * Navigate to an address of this page. `replace`: replace the current history entry. `keepScroll`: do not scroll to the
 * top, for example below a dialog.
 * @param {string} url
 * @param {NavigateOptions} [options]
 */
export function navigate(url, { replace = false, keepScroll = false } = {}) {
  if (!replace) saveScroll();
  history[replace ? "replaceState" : "pushState"](replace ? history.state : null, "", url);
  show({ scroll: replace || keepScroll ? null : 0 });
}

/** Show the current address with a new view. */
export function reload() {
  close();
  show({});
}

/**
 * A link to an address of this page. With a modifier key the browser handles the click, and opens a tab.
 * @param {string} url
 * @param {Props | null} props
 * @param {...Child} children
 */
export function link(url, props, ...children) {
  return h("a", { ...props, href: url, onclick: followLink }, ...children);
}

/** The address of a job's page. @param {string} id */
export function jobUrl(id) {
  return `/jobs/${encodeURIComponent(id)}`;
}

/** @param {MouseEvent} event a click on an <a> to an address of this page */
function followLink(event) {
  if (!isPlainClick(event) || event.defaultPrevented) return;
  event.preventDefault();
  const { pathname, search } = /** @type {HTMLAnchorElement} */ (event.currentTarget);
  navigate(pathname + search);
}

/** @param {{ isFirst?: boolean, scroll?: number | null }} options */
function show({ isFirst = false, scroll = null }) {
  const [route, args] = findRoute(location.pathname);
  const match = { args, params: new URLSearchParams(location.search), setTitle };
  if (current?.route === route && current.view.update?.(match)) return restoreScroll(scroll);
  close();
  const controller = new AbortController();
  current = { route, controller, view: route.view(match, controller.signal) };
  setTitle(current.view.title);
  main.replaceChildren(current.view.element);
  if (!isFirst) focusHeading();
  return restoreScroll(scroll);
}

/** Leave the view, and close its dialogs. */
function close() {
  current?.controller.abort();
  current = null;
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
}

/** @param {string} path @returns {[Route, string[]]} */
function findRoute(path) {
  for (const route of routes) {
    const match = route.pattern.exec(path);
    if (match) return [route, match.slice(1).map((part) => part && decode(part))];
  }
  throw new Error("no route matches; the last one must match every address");
}

/** @param {string} part */
function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** @param {string} title */
function setTitle(title) {
  document.title = title ? `${title} · ${PRODUCT}` : PRODUCT;
}

/** Focus the view's heading: after navigation, or when the focused element has disappeared. */
export function focusHeading() {
  const heading = main.querySelector("h1");
  heading?.setAttribute("tabindex", "-1");
  heading?.focus({ preventScroll: true });
}

/** @param {number | null} scroll */
async function restoreScroll(scroll) {
  if (scroll === null) return;
  const shown = current;
  if (scroll) await shown?.view.ready;
  if (shown === current) scrollTo(0, scroll);
}

function saveScroll() {
  history.replaceState({ ...history.state, scroll: Math.round(scrollY) }, "");
}

/** @param {() => void} call @param {number} ms */
function debounce(call, ms) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(call, ms);
  };
}
