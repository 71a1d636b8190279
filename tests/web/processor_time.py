"""The processor time of a page's tasks. Wall time would include that of other processes."""

from playwright.sync_api import Page


class ProcessorTime:
    """Measures a page of Chromium."""

    def __init__(self, page: Page) -> None:
        self._chromium = page.context.new_cdp_session(page)
        self._chromium.send("Performance.enable", {"timeDomain": "threadTicks"})

    def seconds(self) -> float:
        """Return the processor time that the page's tasks have used."""
        metrics = self._chromium.send("Performance.getMetrics")["metrics"]
        return next(float(metric["value"]) for metric in metrics if metric["name"] == "TaskDuration")
