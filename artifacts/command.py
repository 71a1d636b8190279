"""Which commands a job can run."""

# Linux passes a program at most 128 KiB per argument, including the terminating null byte (MAX_ARG_STRLEN).
MAX_COMMAND_BYTES = 128 * 1024 - 1


def command_problem(command: str) -> str:
    """Return why `sh -c` cannot run the command, or ""."""
    size = len(command.encode(errors="replace"))
    if size > MAX_COMMAND_BYTES:
        return f"has {size} bytes, but Linux accepts at most {MAX_COMMAND_BYTES}: put the program in a file"
    return "must not contain null characters" if "\0" in command else ""
