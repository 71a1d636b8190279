// What is known of a file beside its content, with what can be copied of it.

import { h } from "../dom.js";
import { bytes, time } from "../format.js";
import { shown } from "../names.js";
import { copyButton } from "./copy.js";
import { curlLine } from "./curl.js";
import { isShown } from "./kinds.js";
import { baseName, fileUrl, phfsPath } from "./paths.js";
import { openLink, saveLink } from "./row.js";

/** Of {name, size, lastModified, sha256} in the job folder `prefix`. `tell(words)`: to a screen reader. */
export function factsOf(file, prefix, tell) {
  const saved = fileUrl(prefix, file.name, { download: true });
  const line = curlLine(location.origin, saved, baseName(file.name));
  return h(
    "div",
    { class: "preview-facts" },
    h(
      "div",
      { class: "actions start" },
      saveLink(saved, "Download", { class: "button primary" }),
      isShown(file.name) && openLink(prefix, file.name, "Open"),
      h("span", { class: "muted number" }, bytes(file.size)),
      h("span", { class: "muted number" }, "modified ", time(file.lastModified, { exact: true })),
    ),
    h(
      "dl",
      null,
      fact("path", "Path in PHFS", phfsPath(prefix, file.name), tell),
      fact("SHA-256", "SHA-256", file.sha256, tell),
      fact("curl line", "curl", line, tell),
    ),
    tokenHint(),
  );
}

/** For every way of signing in: which one it was is not known here. */
function tokenHint() {
  return h("p", { class: "hint" },
    h("code", null, "$TOKEN"), " is the token that you sign in with. If you sign in at your organisation's page: ",
    "PrimeHub's API token, or one from your administrator; in local mode: what follows ", h("code", null, "#token="),
    " in the address that was printed.");
}

/** `text`: null where it is not known. */
function fact(what, label, text, tell) {
  const value = text ? h("code", null, shown(text)) : h("span", { class: "muted" }, "not known");
  const copy = text && copyButton(what, () => text, tell);
  return h("div", { class: "fact" }, h("dt", null, label), h("dd", null, value, copy));
}
