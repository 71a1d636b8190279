// The keyboard's focus, over changes of the page that may take it away.

/**
 * Makes a change of what is in `within`. If what has the focus goes by it, what reads alike in `redrawn` (a part that is
 * made anew each time) gets it, else `otherwise()` is called.
 */
export function keepFocus(within, redrawn, change, otherwise) {
  const held = document.activeElement;
  const [isOurs, isRedrawn] = [within.contains(held), redrawn.contains(held)];
  change();
  if (!isOurs || held.checkVisibility()) return;
  const links = isRedrawn ? [...redrawn.querySelectorAll("a, button")] : [];
  const same = links.find((each) => each.textContent === held.textContent);
  if (same) same.focus({ preventScroll: true }); // what is new is read from its top
  else otherwise();
}
