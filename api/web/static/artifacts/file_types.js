// How a file is previewed and opened, according to its name; its content can still turn out to be binary (decode.js).
// HTML, SVG and Markdown are shown as text: a job's files must not become part of the page. Pure.

const IMAGES = new Set(["gif", "jpeg", "jpg", "png", "webp"]); // the types that the API serves as images
// The types that the API serves as text; a test compares both.
const TEXTS = new Set((
  "c cc cfg conf cpp csv diff err go h hpp ini ipynb java jl js json jsonl log lua md ndjson out patch pl properties " +
  "py r rb rs rst scala sh sql stderr stdout tex toml ts tsv txt yaml yml"
).split(" "));
const TEXT_NAMES = new Set("changelog dockerfile license log makefile readme stderr stdout".split(" "));
const TABLES = new Set(["csv", "tsv"]);
const JSONS = new Set(["geojson", "ipynb", "json"]);

/** The type of the preview. @param {string} path @returns {"image" | "table" | "json" | "text"} */
export function fileType(path) {
  const extension = extensionOf(path);
  if (IMAGES.has(extension)) return "image";
  if (TABLES.has(extension)) return "table";
  return JSONS.has(extension) ? "json" : "text";
}

/** Whether a browser displays the file as the API serves it; other files are saved. @param {string} path */
export function canOpenInBrowser(path) {
  const name = lowerCaseName(path);
  if (!name.includes(".")) return TEXT_NAMES.has(name) || IMAGES.has(name);
  const extension = extensionOf(path);
  return IMAGES.has(extension) || TEXTS.has(extension);
}

/** The delimiter of a table's fields; undefined if it depends on the content. @param {string} path */
export function delimiterFor(path) {
  return extensionOf(path) === "tsv" ? "\t" : undefined;
}

/** @param {string} path */
function extensionOf(path) {
  const name = lowerCaseName(path);
  return name.includes(".") ? name.slice(name.lastIndexOf(".") + 1) : "";
}

/** @param {string} path */
function lowerCaseName(path) {
  return path.slice(path.lastIndexOf("/") + 1).toLowerCase();
}
