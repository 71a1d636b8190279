// The details of a file in its preview: size, time, path, digest and curl command, with buttons to copy them.

import { h } from "../dom.js";
import { formatBytes, timeElement } from "../format.js";
import { nameElement } from "../untrusted_text.js";
import { copyButton } from "./copy_button.js";
import { curlCommand } from "./curl.js";
import { openLink, saveLink } from "./file_row.js";
import { canOpenInBrowser } from "./file_types.js";
import { baseName, fileUrl, phfsPath } from "./paths.js";

/**
 * @param {FileDetails} file
 * @param {string} prefix the job folder
 * @param {(text: string) => void} announce
 */
export function fileDetails(file, prefix, announce) {
  const url = fileUrl(prefix, file.name, { download: true });
  const command = curlCommand(location.origin, url, baseName(file.name));
  return h(
    "div",
    { class: "preview-details" },
    h(
      "div",
      { class: "actions start" },
      saveLink(url, "Download", { class: "button primary" }),
      canOpenInBrowser(file.name) && openLink(prefix, file.name, "Open"),
      h("span", { class: "muted number" }, formatBytes(file.size)),
      h("span", { class: "muted number" }, "modified ", timeElement(file.lastModified, { exact: true })),
    ),
    h(
      "dl",
      null,
      detail("path", "Path in PHFS", phfsPath(prefix, file.name), announce),
      detail("SHA-256", "SHA-256", file.sha256, announce),
      detail("curl command", "curl", command, announce),
    ),
    tokenHint(),
  );
}

/** The hint covers every way of signing in, because the page cannot detect which one the user chose. */
function tokenHint() {
  return h("p", { class: "hint" },
    h("code", null, "$TOKEN"), " is the token that you sign in with. If you sign in at your organisation's page, use ",
    "PrimeHub's API token or a token from your administrator; in local mode, use the part after ",
    h("code", null, "#token="), " in the printed address.");
}

/**
 * @param {string} copyLabel
 * @param {string} term
 * @param {string | null} text null if it is not known
 * @param {(text: string) => void} announce
 */
function detail(copyLabel, term, text, announce) {
  const value = text ? h("code", null, nameElement(text)) : h("span", { class: "muted" }, "unknown");
  const copy = text && copyButton(copyLabel, () => text, announce);
  return h("div", { class: "detail" }, h("dt", null, term), h("dd", null, value, copy));
}
