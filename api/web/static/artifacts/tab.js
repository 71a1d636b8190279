// The Artifacts tab: the files of a job that has ended, folder by folder, and a preview of each.
//
// What it shows is in the address alone (state.js): whatever the reader does changes the address, and the address,
// changed by that or by "back", changes what is shown. Files are linked by plain addresses of the API, not by signed
// links: those would be stale after five minutes, and in an address that is copied they let in whoever has it, while
// plain ones work as long as the reader is signed in, and for nobody else.

import { h } from "../dom.js";
import { problem, toast } from "../tell.js";
import { filesView } from "./files.js";
import { save } from "./part.js";
import { filePreview } from "./preview.js";
import { readState, writeState } from "./state.js";

const SOON_MS = 1000; // a download that begins within it needs no word

/**
 * The Artifacts tab of a job that has ended. `job`: as the job page has asked for it (job/query.js).
 * `params`: the address's query (URLSearchParams); `onParams(params, { replace, stay })` changes it (router.js, `go`).
 * Answers { element, ready, update, close }: `update(job, params)` is called when the job was asked for anew, and when
 * the address's query has changed, by `onParams` or by "back". `ready`: a promise of the first files.
 */
export function artifactsTab({ job, params, onParams }) {
  let state = readState(params);
  let opened = null; // the file whose preview was opened from its row, which gets the focus again by itself
  let isLeaving = false; // "back" was asked for, which comes later: a second click must not ask again
  const files = filesView({ id: job.id, go, onSave, onMore: placePreview });
  const preview = filePreview({ job: job.id, onStep, onClose, onSave });
  const element = h("section", { class: "stack artifacts", "aria-label": "Files" }, files.element);

  function go(part, options) {
    if (part.file) open(part.file);
    else onParams(writeState({ ...state, ...part }), options);
  }

  /** As a step of its own, which its history entry tells: it may be gone forward to, and after a reload. */
  function open(file) {
    opened = file;
    onParams(writeState({ ...state, file }), { stay: true });
    history.replaceState({ ...history.state, isStep: true }, "");
  }

  async function onStep(by) {
    const file = await files.neighbour(state.file, by);
    if (file) onParams(writeState({ ...state, file }), { replace: true });
  }

  function onClose() {
    if (isLeaving) return;
    isLeaving = true;
    if (history.state?.isStep) history.back();
    else onParams(writeState({ ...state, file: "" }), { replace: true });
  }

  async function onSave(url) {
    const saying = setTimeout(() => toast("The download is being prepared."), SOON_MS);
    try {
      await save(url);
    } catch (error) {
      const again = h("button", { type: "button", onclick: () => onSave(url) }, "Try again");
      (preview.isOpen ? preview : files).fail(problem("It cannot be downloaded.", error.message, again));
    } finally {
      clearTimeout(saying);
    }
  }

  function showPreview(last) {
    preview.show(state.file);
    placePreview();
    if (!state.file && last && last !== opened) files.focus(last);
    if (!state.file) opened = null;
  }

  function placePreview() {
    if (state.file) preview.place(files.placeOf(state.file));
  }

  function update(nextJob, nextParams) {
    const last = state.file;
    state = readState(nextParams);
    if (state.file !== last) isLeaving = false;
    const ready = files.show(state, nextJob);
    showPreview(last);
    return ready;
  }

  function close() {
    files.close();
    preview.show("");
  }

  return { element, ready: update(job, params), update, close };
}
