// Icons as inline SVG. They accompany text, so they are hidden from screen readers.

const SVG = "http://www.w3.org/2000/svg";
const SHAPES = {
  check: "M5 12.5l4.5 4.5L19 7.5",
  cross: "M6.5 6.5l11 11M17.5 6.5l-11 11",
  warn: "M12 4L2.8 19.5h18.4zM12 10v4M12 16.8v.2",
  clock: "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM12 7.5V12l3 2",
  run: "M12 3.5a8.5 8.5 0 1 1-8.5 8.5",
  stop: "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM6 6l12 12",
  info: "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM12 11v5M12 7.8v.2",
  pin: "M9 3.5h6l-.7 6.5 3.2 3.5h-11L9.7 10zM12 13.5V21",
  trash: "M4.5 6.5h15M9 6.5v-2.5h6v2.5M6.5 6.5l1 13.5h9l1-13.5M10 10.5v6M14 10.5v6",
  rerun: "M4.5 12a7.5 7.5 0 1 1 2.2 5.3M4.5 19.5v-4.5h4.5",
};

/** @typedef {keyof typeof SHAPES} IconName */

/** The icon as an <svg>, as tall as the text beside it. @param {IconName} name */
export function icon(name) {
  const element = document.createElementNS(SVG, "svg");
  element.setAttribute("viewBox", "0 0 24 24");
  element.setAttribute("aria-hidden", "true");
  element.classList.add("icon", `icon-${name}`);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", SHAPES[name]);
  element.append(path);
  return element;
}
