"""The measurements that the documentation quotes: the sidecar against the shell wrapper that it replaces."""
