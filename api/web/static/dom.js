// Creates elements from data and updates them in place. Text stays text: nothing here parses HTML, so no file name or
// command can become markup.

/**
 * Create an element. `props` are attributes (true: without a value; false, null, undefined: omitted) and listeners
 * (`onclick` and so on). The content security policy forbids the attribute `style`: use a class, or the element's
 * `style` object.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Props | null} [props]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) setProp(element, name, value);
  element.append(...toNodes(children));
  return element;
}

/**
 * Flatten children into arguments for `replaceChildren` and `append`.
 * @param {...Child} children
 * @returns {(Node | string)[]}
 */
export function toNodes(...children) {
  /** @type {(Node | string)[]} */
  const nodes = [];
  for (const child of children) {
    if (Array.isArray(child)) nodes.push(...toNodes(...child));
    else if (child instanceof Node) nodes.push(child);
    else if (child !== null && child !== undefined && child !== false) nodes.push(String(child));
  }
  return nodes;
}

/**
 * @param {HTMLElement} element
 * @param {string} name
 * @param {Props[string]} value
 */
function setProp(element, name, value) {
  if (typeof value === "function") element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
  else if (value === true) element.setAttribute(name, "");
  else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
}

/** The element with that id, which index.html has. @param {string} id */
export function elementById(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html has no element #${id}`);
  return element;
}

/** The closest ancestor of the event's target, or the target. @param {Event} event @param {string} selector */
export function closest(event, selector) {
  return event.target instanceof Element ? event.target.closest(selector) : null;
}

/** Whether a click has no modifier key, with which browsers open a new tab or save. @param {MouseEvent} event */
export function isPlainClick(event) {
  return event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
}

/**
 * Set a text only if it changed, so that a selection in it stays and screen readers do not repeat it.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Replace the element's only child unless the new one is equal.
 * @param {Element} parent
 * @param {Node} child
 */
export function setChild(parent, child) {
  const { firstChild } = parent;
  if (firstChild !== child && !firstChild?.isEqualNode(child)) parent.replaceChildren(child);
}

/**
 * Call `change`, which changes the content of `container`. If the focused element disappears, focus the link or button
 * with the same text in `redrawn` (a part that each change replaces), else call `focusFallback`.
 * @param {Element} container
 * @param {Element} redrawn
 * @param {() => void} change
 * @param {() => void} focusFallback
 */
export function preserveFocus(container, redrawn, change, focusFallback) {
  const focused = document.activeElement;
  const [isInContainer, isInRedrawn] = [container.contains(focused), redrawn.contains(focused)];
  change();
  if (!isInContainer || focused?.checkVisibility()) return;
  /** @type {NodeListOf<HTMLElement>} */
  const candidates = redrawn.querySelectorAll("a, button");
  const same = [...candidates].find((candidate) => candidate.textContent === focused?.textContent);
  if (isInRedrawn && same) same.focus({ preventScroll: true }); // new content is read from its top
  else focusFallback();
}
