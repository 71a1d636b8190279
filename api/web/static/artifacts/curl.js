// A line for a shell that downloads a file or a ZIP. File names are hostile: whoever pastes it runs curl alone. Pure.

/** What no file name on a command line needs: control characters, line separators, and what turns the writing. */
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff]/g;

/** `path`: as fileUrl and zipUrl make it; `name`: what it is saved as. The token stays out of it: $TOKEN. */
export function curlLine(origin, path, name) {
  const words = [shellQuoted(`${origin}${path}`), "--output", shellQuoted(fileName(name))];
  return `curl --fail --header "Authorization: Bearer $TOKEN" ${words.join(" ")}`;
}

/** The text as one word of a POSIX shell. */
export function shellQuoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** A name that is no option, not "-" for standard output, and leads nowhere else. */
function fileName(name) {
  const plain = name.replace(UNPRINTABLE, "_").replaceAll("/", "_");
  return plain.startsWith("-") ? `./${plain}` : plain;
}
