// What is shown stays true without a reload: asked again and again while somebody looks, less often while it fails.

const MOST_MS = 60_000;

/**
 * Call `load(signal)` now and then again, until `signal` ends it.
 * `every(data)`: milliseconds until the next time. `onData(data)`, `onError(error)`: what came of it.
 * While the page is hidden nothing is asked; once it is seen again, at once.
 * Answers { refresh, first }: `refresh()` asks now; `first` is a promise of the first answer, good or bad.
 */
export function live(load, { every, onData, onError, signal }) {
  let [timer, failures, asking, told] = [0, 0, null, () => {}];
  const first = new Promise((resolve) => (told = resolve));

  async function refresh() {
    clearTimeout(timer);
    if (signal.aborted) return;
    asking?.abort();
    const own = (asking = new AbortController());
    let wait = 0;
    try {
      const data = await load(own.signal);
      if (own.signal.aborted) return;
      failures = 0;
      wait = every(data);
      onData(data);
    } catch (error) {
      if (own.signal.aborted) return;
      failures += 1;
      wait = Math.min(MOST_MS, 1000 * 2 ** failures);
      onError(error);
    }
    told();
    asking = null;
    if (!signal.aborted && !document.hidden) timer = setTimeout(refresh, wait);
  }

  function seen() {
    if (document.hidden) clearTimeout(timer);
    else if (!asking) refresh();
  }

  function end() {
    clearTimeout(timer);
    asking?.abort();
    document.removeEventListener("visibilitychange", seen);
    removeEventListener("online", seen);
    told();
  }

  signal.addEventListener("abort", end);
  document.addEventListener("visibilitychange", seen);
  addEventListener("online", seen);
  refresh();
  return { refresh, first };
}
