// How a file is previewed, as its name tells; what is in it has the last word (decode.js). Pure.
//
// HTML, SVG and Markdown are text here: a job's files never become a part of the page, or a page.

const IMAGES = new Set(["gif", "jpeg", "jpg", "png", "webp"]); // what the API serves as images
// What the API serves as text to look at; a test holds it to that.
const TEXTS = new Set((
  "c cc cfg conf cpp csv diff err go h hpp ini ipynb java jl js json jsonl log lua md ndjson out patch pl properties " +
  "py r rb rs rst scala sh sql stderr stdout tex toml ts tsv txt yaml yml"
).split(" "));
const TEXT_NAMES = new Set("changelog dockerfile license log makefile readme stderr stdout".split(" "));
const TABLES = new Set(["csv", "tsv"]);
const JSONS = new Set(["geojson", "ipynb", "json"]);

/** "image", "table", "json" or "text". */
export function kindOf(path) {
  const ending = endingOf(path);
  if (IMAGES.has(ending)) return "image";
  if (TABLES.has(ending)) return "table";
  return JSONS.has(ending) ? "json" : "text";
}

/** Whether a browser shows the file as the API serves it; others it saves. */
export function isShown(path) {
  const name = path.slice(path.lastIndexOf("/") + 1).toLowerCase();
  const ending = name.slice(name.lastIndexOf(".") + 1);
  return IMAGES.has(ending) || (name.includes(".") ? TEXTS : TEXT_NAMES).has(ending);
}

/** What separates the fields of a table by its name; undefined: its content tells. */
export function delimiterOf(path) {
  return endingOf(path) === "tsv" ? "\t" : undefined;
}

function endingOf(path) {
  const name = path.slice(path.lastIndexOf("/") + 1).toLowerCase();
  return name.includes(".") ? name.slice(name.lastIndexOf(".") + 1) : "";
}
