"""Downloads: single files, with ranges, and folders as streamed ZIPs."""
