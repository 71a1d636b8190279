// A list of rows that is updated in place, so that the user's focus and selection stay.

/**
 * Return a function that shows a list of items as children of `parent`. Rows of items with the same key are updated,
 * others are created and removed.
 * @template Item
 * @param {Element} parent
 * @param {(item: Item) => string} keyOf
 * @param {(item: Item) => { element: Element, update: (item: Item) => void }} createRow
 * @returns {(items: Item[]) => void}
 */
export function keyedList(parent, keyOf, createRow) {
  /** @type {Map<string, ReturnType<typeof createRow>>} */
  let rows = new Map();
  return (items) => {
    const next = new Map();
    for (const item of items) {
      const key = keyOf(item);
      const row = rows.get(key);
      if (row) row.update(item);
      next.set(key, row ?? createRow(item));
    }
    for (const [key, row] of rows) if (!next.has(key)) row.element.remove();
    arrange(parent, [...next.values()].map((row) => row.element));
    rows = next;
  };
}

/**
 * Put the elements in order. Only elements in the wrong position are moved: a moved element loses the focus.
 * @param {Element} parent
 * @param {Element[]} elements
 */
function arrange(parent, elements) {
  let next = parent.firstElementChild;
  for (const element of elements) {
    if (element === next) next = element.nextElementSibling;
    else parent.insertBefore(element, next);
  }
}
