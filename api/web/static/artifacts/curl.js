// Shell commands that download a file or a ZIP. File names are untrusted: pasted into a shell, the command must run
// curl and nothing else. Pure.

/** Characters that a file name on a command line does not need: controls, line separators, bidi controls. */
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff]/g;

/**
 * A command that downloads to a file. The token is not part of it: the shell reads $TOKEN.
 * @param {string} origin
 * @param {string} path a URL path from `fileUrl` or `zipUrl`
 * @param {string} name the name of the downloaded file
 */
export function curlCommand(origin, path, name) {
  const words = [quoteForShell(`${origin}${path}`), "--output", quoteForShell(safeFileName(name))];
  return `curl --fail --header "Authorization: Bearer $TOKEN" ${words.join(" ")}`;
}

/** The text as one word for a POSIX shell. @param {string} text */
export function quoteForShell(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** A name that is no option, not "-" (standard output), and in the current directory. @param {string} name */
function safeFileName(name) {
  const safe = name.replace(UNPRINTABLE, "_").replaceAll("/", "_");
  return safe.startsWith("-") ? `./${safe}` : safe;
}
