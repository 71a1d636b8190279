// The Artifacts tab of a job that has ended: its files, folder by folder, and a preview of each.
//
// The address holds the whole state (tab_state.js): each action of the user changes the address, and each change of the
// address, by an action or by "back", changes the view. Files are linked by plain URLs of the API. Signed URLs would
// expire after five minutes, and would give access to anyone who gets a copied address.

import { h } from "../dom.js";
import { messageOf } from "../errors.js";
import { errorNotice, retryButton, toast } from "../notify.js";
import { saveFile } from "./downloads.js";
import { folderView } from "./folder_view.js";
import { previewDialog } from "./preview_dialog.js";
import { formatTabState, parseTabState } from "./tab_state.js";

const SLOW_DOWNLOAD_MS = 1000; // a download that starts within this time needs no toast

/**
 * Show the files of a job. `ready` is a promise of the first files. Call `update(job, params)` after each load of the
 * job and after each change of the address's query, by `onParams` or by "back".
 * @param {object} options
 * @param {Job} options.job
 * @param {URLSearchParams} options.params
 * @param {(params: URLSearchParams, options?: NavigateOptions) => void} options.onParams changes the query
 */
export function artifactsTab({ job, params, onParams }) {
  let state = parseTabState(params);
  /** @type {string | null} the file whose preview was opened from its row; the browser restores the focus to the row */
  let openedFile = null;
  let isClosing = false; // history.back() is asynchronous: a second click must not go back twice
  const files = folderView({ job, state, onNavigate, onSave, onLoaded: showPosition });
  const preview = previewDialog({ jobId: job.id, onStep, onClose, onSave });
  const element = h("section", { class: "stack artifacts", "aria-label": "Files" }, files.element);

  /** @param {Partial<TabState>} changes @param {NavigateOptions} [options] */
  function onNavigate(changes, options) {
    if (changes.file) openPreview(changes.file);
    else onParams(formatTabState({ ...state, ...changes }), options);
  }

  /**
   * Add a marked history entry for the preview: "back" then closes the preview, even after a reload.
   * @param {string} file
   */
  function openPreview(file) {
    openedFile = file;
    onParams(formatTabState({ ...state, file }), { keepScroll: true });
    history.replaceState({ ...history.state, isPreview: true }, "");
  }

  /** @param {1 | -1} offset */
  async function onStep(offset) {
    const file = await files.neighbor(state.file, offset);
    if (file) onParams(formatTabState({ ...state, file }), { replace: true });
  }

  function onClose() {
    if (isClosing) return;
    isClosing = true;
    if (history.state?.isPreview) history.back();
    else onParams(formatTabState({ ...state, file: "" }), { replace: true });
  }

  /** @param {string} url */
  async function onSave(url) {
    const timer = setTimeout(() => toast("The download is being prepared."), SLOW_DOWNLOAD_MS);
    try {
      await saveFile(url);
    } catch (error) {
      const notice = errorNotice("The download failed.", messageOf(error), retryButton(() => onSave(url)));
      (preview.isOpen ? preview : files).showNotice(notice);
    } finally {
      clearTimeout(timer);
    }
  }

  /** @param {string} previousFile the file of the previous state */
  function showPreview(previousFile) {
    preview.show(state.file);
    showPosition();
    if (!state.file && previousFile && previousFile !== openedFile) files.focusFile(previousFile);
    if (!state.file) openedFile = null;
  }

  function showPosition() {
    if (state.file) preview.setPosition(files.positionOf(state.file));
  }

  /** @param {Job} nextJob @param {URLSearchParams} nextParams */
  function update(nextJob, nextParams) {
    const previousFile = state.file;
    state = parseTabState(nextParams);
    if (state.file !== previousFile) isClosing = false;
    const ready = files.show(state, nextJob);
    showPreview(previousFile);
    return ready;
  }

  function close() {
    files.close();
    preview.show("");
  }

  return { element, ready: update(job, params), update, close };
}
