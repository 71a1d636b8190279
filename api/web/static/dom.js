// Elements from data. A text stays a text: nothing here parses HTML, so no file name or command can become markup.

/**
 * An element. `props`: attributes (true: without a value; false, null, undefined: none) and `on<event>` listeners.
 * The page's policy refuses the attribute `style`: use a class, or the element's `style` object.
 * Children: nodes, texts, numbers, lists of them; null, undefined and false are left out.
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) set(element, name, value);
  element.append(...nodes(children));
  return element;
}

/** What `h` makes of children, for `replaceChildren` and `append`. */
export function nodes(...children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

function set(element, name, value) {
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (value === true) element.setAttribute(name, "");
  else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
}
