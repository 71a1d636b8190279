"""The contract between sidecar, controller and API: names, paths, settings, and the formats of the metadata files.

Standard library only, and almost no I/O (see README.md). A module belongs here only if two parts of the product use it.
"""

__version__ = "0.1.0"
