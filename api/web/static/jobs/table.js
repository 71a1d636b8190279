// The table of jobs. Its roles are told, as a table that is shown as cards on a phone would lose its own.

import { h } from "../dom.js";
import { keyed } from "../keyed.js";
import { jobRow } from "./row.js";

const COLUMNS = ["Job", "State", "Group", "Started", "Duration", "Artifacts"];

/** { element, show(jobs) }. */
export function jobsTable() {
  const body = h("tbody", { role: "rowgroup" });
  const head = h("thead", { role: "rowgroup" },
    h("tr", { role: "row" }, COLUMNS.map((name) => h("th", { scope: "col", role: "columnheader" }, name))));
  const element = h("table", { class: "table cards jobs", "aria-label": "Jobs", role: "table" }, head, body);
  return { element, show: keyed(body, (job) => job.id, jobRow) };
}
