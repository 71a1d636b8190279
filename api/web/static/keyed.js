// A list that is brought up to date in place: the row under the reader's focus or selection is never made anew.

/**
 * Keeps `parent`'s children in line with lists of items. `keyOf(item)`: what stays the same of an item.
 * `make(item)` answers { element, update(item) }; `update` is called with what is new of an item that is shown.
 * Answers `show(items)`.
 */
export function keyed(parent, keyOf, make) {
  let rows = new Map();
  return (items) => {
    const next = new Map();
    for (const item of items) {
      const key = keyOf(item);
      const row = rows.get(key);
      if (row) row.update(item);
      next.set(key, row ?? make(item));
    }
    for (const [key, row] of rows) if (!next.has(key)) row.element.remove();
    place(parent, [...next.values()].map((row) => row.element));
    rows = next;
  };
}

/** Puts the elements in order, moving only those that are out of place: a moved one would lose the focus. */
function place(parent, elements) {
  let at = parent.firstElementChild;
  for (const element of elements) {
    if (element === at) at = at.nextElementSibling;
    else parent.insertBefore(element, at);
  }
}

/** Sets a text only where it changed, so that a selection in it, and a screen reader, are left in peace. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
