"""Estimates how long a FUSE mount needs to upload what was written to it, from the sizes and times of the writes.

Such a mount (csi-rclone) acknowledges close() before it uploads, and is unmounted without waiting for the uploads.
"""

from dataclasses import dataclass

from artifacts.settings import SidecarSettings


@dataclass
class WriteBack:
    """The estimated backlog. It grows with each write and drains at the rates in the settings.

    `updated_at` and all `now` are monotonic seconds.
    """

    settings: SidecarSettings
    files: float = 0.0
    bytes: float = 0.0
    updated_at: float = 0.0

    def add(self, files: int, size_bytes: int, now: float) -> None:
        """Record that `files` files of `size_bytes` in total have been written."""
        elapsed, self.updated_at = max(0.0, now - self.updated_at), now
        self.files = max(0.0, self.files - elapsed * self.settings.linger_files_per_second) + files
        self.bytes = max(0.0, self.bytes - elapsed * self.settings.linger_bytes_per_second) + size_bytes

    def seconds_to_drain(self, now: float) -> float:
        """Return the seconds until the mount has probably uploaded everything; 0 if lingering is disabled."""
        if not self.settings.linger_seconds:
            return 0.0
        self.add(0, 0, now)
        drain = max(
            self.files / self.settings.linger_files_per_second, self.bytes / self.settings.linger_bytes_per_second
        )
        return self.settings.linger_seconds + drain
