"""How much a FUSE mount may still have to store, and so how long to stay for it. A model, fed by what was written.

Such a mount (csi-rclone) answers close() before it uploads, and is unmounted without waiting.
"""

from dataclasses import dataclass, field

from artifacts.settings import SidecarSettings


@dataclass
class WriteBack:
    """A backlog that fills as files are written and drains at the settings' rates. Times are monotonic seconds."""

    settings: SidecarSettings
    files: float = 0.0
    bytes: float = 0.0
    at: float = field(default=0.0)

    def add(self, files: int, size: int, now: float) -> None:
        """`files` files of `size` bytes in all have just been written."""
        passed, self.at = max(0.0, now - self.at), now
        self.files = max(0.0, self.files - passed * self.settings.linger_files_per_second) + files
        self.bytes = max(0.0, self.bytes - passed * self.settings.linger_bytes_per_second) + size

    def seconds(self, now: float) -> float:
        """How long from now until all of it should be stored; 0 where lingering is switched off."""
        if not self.settings.linger_seconds:
            return 0.0
        self.add(0, 0, now)
        drain = max(
            self.files / self.settings.linger_files_per_second, self.bytes / self.settings.linger_bytes_per_second
        )
        return self.settings.linger_seconds + drain
