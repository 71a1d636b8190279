"""Downloads: single files by Range, whole folders as a streamed ZIP."""
