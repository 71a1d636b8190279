"""The contract: what the sidecar writes, the API reads and the controller tells the sidecar.

Standard library only. A thing stands here only when two parts of the product use it; it holds names,
paths, settings and the forms of the metadata files, and does no I/O of its own.
"""

__version__ = "0.1.0"
