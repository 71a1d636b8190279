"""The store of artifacts: one interface for directories and object stores."""
