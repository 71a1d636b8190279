"""Where artifacts lie: one interface over a directory and over object stores."""
