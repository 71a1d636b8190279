import { h } from "../dom.js";

export function jobsView() {
  return { element: h("h1", null, "Jobs"), title: "Jobs" };
}
