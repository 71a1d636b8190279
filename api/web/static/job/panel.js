// What happened to the job's artifacts, above its files.

import { h, nodes } from "../dom.js";
import { bytes, count, relativeTime, time } from "../format.js";
import { happened } from "../happened.js";
import { icon } from "../icons.js";
import { shown } from "../names.js";

const SIGNS = { good: "check", warn: "warn", bad: "cross", busy: "run", "": "info" };
const MOST_SHOWN = 20;
const FEW = 3;

/** { element, update(job) }. It is made anew only where what it says has changed. */
export function happenedPanel() {
  const element = h("section", { class: "happened", "aria-label": "What happened" });
  let before = "";
  function update(job) {
    const told = happened(job);
    const text = JSON.stringify(told);
    if (text === before) return;
    const open = [...element.querySelectorAll("details[open]")].map((each) => each.dataset.key);
    element.replaceChildren(notice(told));
    for (const each of element.querySelectorAll("details")) each.open = open.includes(each.dataset.key);
    before = text;
  }
  return { element, update };
}

function notice({ tone, title, lines, hint, left, unstable }) {
  return h(
    "div",
    { class: `notice ${tone}` },
    h("h2", { class: "notice-title" }, icon(SIGNS[tone]), " ", title),
    lines.map((line) => h("p", null, sentence(line))),
    hint && h("p", { class: "muted" }, hint),
    left.length > 0 && h("ul", { class: "left" }, left.map(leftItem)),
    unstable.length > 0 && unstableItem(unstable),
  );
}

function sentence(line) {
  if (typeof line === "string") return line;
  const [before, after] = line.text;
  return nodes(before, time(line.since, { exact: true }), " (", relativeTime(line.since), ")", after);
}

function leftItem({ title, hint, detail, files, bytes: size, paths }) {
  return h(
    "li",
    null,
    h("p", null, h("strong", null, `${count(files, "file")} left out: `), `${title}${size ? ` (${bytes(size)})` : ""}.`),
    hint && h("p", { class: "muted small" }, hint),
    detail && h("p", { class: "muted small" }, "Last error: ", shown(detail)),
    paths.length > 0 && pathList(title, paths, files),
  );
}

function unstableItem(paths) {
  return h(
    "div",
    null,
    h("p", null, "Some files changed while they were copied, so their ends may be missing."),
    pathList("unstable", paths, paths.length),
  );
}

/** The paths, at once where they are few. The report names the first hundred of them at most. */
function pathList(key, paths, files) {
  const rest = files - Math.min(paths.length, MOST_SHOWN);
  const list = h(
    "ul",
    { class: "paths mono" },
    paths.slice(0, MOST_SHOWN).map((path) => h("li", null, path === "." ? "artifacts" : shown(path))),
    rest > 0 && h("li", { class: "muted" }, `and ${count(rest)} more`),
  );
  return files <= FEW ? list : h("details", { "data-key": key }, h("summary", null, "Which files"), list);
}
