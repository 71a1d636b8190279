// Keeps the shown data up to date without a reload: polls while the page is visible, less often after errors.

const MAX_RETRY_MS = 60_000;

/**
 * Call `load` now and then repeatedly, until `signal` aborts. Pauses while the page is hidden; when it becomes visible
 * again, or the browser online, `load` is called at once.
 * @template Data
 * @param {(signal: AbortSignal) => Promise<Data>} load
 * @param {object} options
 * @param {(data: Data) => number} options.intervalMs the time until the next call
 * @param {(data: Data) => void} options.onData
 * @param {(error: unknown) => void} options.onError
 * @param {AbortSignal} options.signal
 * @returns {{ refresh: () => Promise<void>, ready: Promise<void> }} `refresh()` loads now; `ready` resolves after the
 *   first result, data or error.
 */
export function poll(load, { intervalMs, onData, onError, signal }) {
  let timer = 0;
  let failureCount = 0;
  /** @type {AbortController | null} */
  let pending = null;
  /** @type {() => void} */
  let resolveReady = () => {};
  /** @type {Promise<void>} */
  const ready = new Promise((resolve) => { resolveReady = resolve; });

  async function refresh() {
    clearTimeout(timer);
    if (signal.aborted) return;
    pending?.abort();
    const own = (pending = new AbortController());
    let delay = 0;
    try {
      const data = await load(own.signal);
      if (own.signal.aborted) return;
      failureCount = 0;
      delay = intervalMs(data);
      onData(data);
    } catch (error) {
      if (own.signal.aborted) return;
      failureCount += 1;
      delay = Math.min(MAX_RETRY_MS, 1000 * 2 ** failureCount);
      onError(error);
    }
    resolveReady();
    pending = null;
    if (!signal.aborted && !document.hidden) timer = setTimeout(refresh, delay);
  }

  function onVisibilityChange() {
    if (document.hidden) clearTimeout(timer);
    else if (!pending) refresh();
  }

  function stop() {
    clearTimeout(timer);
    pending?.abort();
    document.removeEventListener("visibilitychange", onVisibilityChange);
    removeEventListener("online", onVisibilityChange);
    resolveReady();
  }

  signal.addEventListener("abort", stop);
  document.addEventListener("visibilitychange", onVisibilityChange);
  addEventListener("online", onVisibilityChange);
  refresh();
  return { refresh, ready };
}
