// Paths of a job's files, as the API names them: relative to the job folder, a folder's with a slash at its end.
//
// They are the store's names: what cannot stand in a key is %XX in them, so they are shown and sent as they are.
// `prefix` is the job folder's in the store (groups/<group>/jobArtifacts/<job>). Pure.

/** The last component, of a folder with its slash. */
export function baseName(path) {
  return path.slice(path.lastIndexOf("/", path.length - 2) + 1);
}

/** The folder that holds the file or folder, with its slash; "" for the job folder. */
export function parentOf(path) {
  return path.slice(0, path.lastIndexOf("/", path.length - 2) + 1);
}

/** Whether the path names a folder. */
export function isFolder(path) {
  return path === "" || path.endsWith("/");
}

/** The folders from the job folder to `folder`, without the job folder: [{name, path}]. */
export function crumbsOf(folder) {
  const names = folder.split("/").slice(0, -1);
  return names.map((name, index) => ({ name, path: `${names.slice(0, index + 1).join("/")}/` }));
}

/** The folder that a URL names, with its slash; "" for the job folder, and for what can be no folder. */
export function readFolder(text) {
  const path = text.replace(/\/+$/, "");
  return isPath(path) ? `${path}/` : "";
}

/** Whether a file could be called so; the API has the last word. */
export function isPath(path) {
  return !path.split("/").some((name) => name === "" || name === "." || name === "..");
}

/** Where the API serves the file; `download`: to be saved. It works as long as the reader is signed in. */
export function fileUrl(prefix, path, { download = false } = {}) {
  return `/api/files/${encoded(`${prefix}/${path}`)}${download ? "?download=1" : ""}`;
}

/** Where the API serves all in the folder as a ZIP. */
export function zipUrl(prefix, folder) {
  return `/api/files/${encoded(`${prefix}/${folder}`)}?archive=zip`;
}

/** Where a job or a notebook of the group finds it: PHFS is mounted at /phfs there. */
export function phfsPath(prefix, path) {
  return `/phfs/${prefix.split("/").slice(2).join("/")}/${path}`;
}

/** A path for a URL: nothing in it that a shell, an address bar or a link finder takes for something else. */
function encoded(path) {
  return path
    .split("/")
    .map((name) => encodeURIComponent(name).replace(/[!'()*]/g, hex))
    .join("/");
}

function hex(letter) {
  return `%${letter.charCodeAt(0).toString(16).toUpperCase()}`;
}
