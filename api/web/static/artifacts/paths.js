// Paths of a job's files, as the API names them: relative to the job folder; the path of a folder ends with a slash.
// `prefix` is the job folder in the store (groups/<group>/jobArtifacts/<job>). Pure.
//
// Paths are keys of the store. Bytes that a key cannot contain are %XX in them, so paths are shown and sent unchanged.

/** The last component; of a folder, with its slash. @param {string} path */
export function baseName(path) {
  return path.slice(path.lastIndexOf("/", path.length - 2) + 1);
}

/** The folder that contains the file or folder; "" for the job folder. @param {string} path */
export function parentOf(path) {
  return path.slice(0, path.lastIndexOf("/", path.length - 2) + 1);
}

/** Whether the path is a folder's. @param {string} path */
export function isFolder(path) {
  return path === "" || path.endsWith("/");
}

/** The folders on the way from the job folder to `folder`, without the job folder. @param {string} folder */
export function parentsOf(folder) {
  const names = folder.split("/").slice(0, -1);
  return names.map((name, index) => ({ name, path: `${names.slice(0, index + 1).join("/")}/` }));
}

/** Parse a folder in a URL. Returns "", the job folder, if the text is not a valid path. @param {string} text */
export function parseFolder(text) {
  const path = text.replace(/\/+$/, "");
  return isValidPath(path) ? `${path}/` : "";
}

/** Whether a file can have this path; the API checks it fully. @param {string} path */
export function isValidPath(path) {
  return !path.split("/").some((name) => name === "" || name === "." || name === "..");
}

/**
 * The URL path of a file. It is not signed: it works while the user is signed in.
 * @param {string} prefix
 * @param {string} path
 * @param {{ download?: boolean }} [options] `download`: the browser saves the file
 */
export function fileUrl(prefix, path, { download = false } = {}) {
  return `/api/files/${encodePath(`${prefix}/${path}`)}${download ? "?download=1" : ""}`;
}

/** The URL path of a folder as a ZIP. @param {string} prefix @param {string} folder */
export function zipUrl(prefix, folder) {
  return `/api/files/${encodePath(`${prefix}/${folder}`)}?archive=zip`;
}

/**
 * The file's path in the group's jobs and notebooks, which mount PHFS at /phfs.
 * @param {string} prefix
 * @param {string} path
 */
export function phfsPath(prefix, path) {
  return `/phfs/${prefix.split("/").slice(2).join("/")}/${path}`;
}

/** Encode a path for URLs, without characters that are special to shells or link detection. @param {string} path */
function encodePath(path) {
  return path
    .split("/")
    .map((name) => encodeURIComponent(name).replace(/[!'()*]/g, percentEncode))
    .join("/");
}

/** @param {string} character */
function percentEncode(character) {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}
