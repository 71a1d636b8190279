"""The processor time of a page's tasks. Wall time would include that of other processes."""

from playwright.sync_api import Page


class ProcessorTime:
    """Measures a page of Chromium."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._chromium = page.context.new_cdp_session(page)
        self._chromium.send("Performance.enable", {"timeDomain": "threadTicks"})

    def seconds(self) -> float:
        """Return the processor time that the page's tasks have used."""
        metrics = self._chromium.send("Performance.getMetrics")["metrics"]
        return next(float(metric["value"]) for metric in metrics if metric["name"] == "TaskDuration")

    def longest_task(self, script: str, argument: object) -> float:
        """Run an asynchronous script; return the most processor time that passed between two answers of the page.

        The page answers between its tasks, so a long task cannot hide.
        """
        self._page.evaluate(
            f"(argument) => {{ window.isDone = false; ({script})(argument).then(() => isDone = true) }}", argument
        )
        longest, last, is_done = 0.0, self.seconds(), False
        while not is_done:
            is_done = self._page.evaluate("isDone")
            now = self.seconds()
            longest, last = max(longest, now - last), now
        return longest
