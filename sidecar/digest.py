"""SHA-256 of what is written, beside the writing: a large file is hashed by a second thread while it is copied."""

import hashlib
import queue
import threading


class Digest:
    """Takes blocks in order and gives their SHA-256. For one thread; must be ended, by `finish`, whatever happens."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._blocks: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(2)  # blocks that may wait to be hashed: it bounds the memory
        self._thread = threading.Thread(target=self._work, name="digest", daemon=True)
        self._thread.start()

    def update(self, block: bytes) -> None:
        """Take the next block."""
        self._room.acquire()
        self._blocks.put(block)

    def finish(self) -> bytes:
        """The digest (32 bytes) of all blocks."""
        self._blocks.put(None)
        self._thread.join()
        return self._hash.digest()

    def _work(self) -> None:
        while (block := self._blocks.get()) is not None:
            self._hash.update(block)
            self._room.release()
