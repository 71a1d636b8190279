"""Artifacts for tests: files of every type that has a preview, hostile files, and a very large folder."""

import json
import struct
import zlib
from urllib.parse import quote

MIB = 1024 * 1024


def png(width: int, height: int) -> bytes:
    """Return an image that a browser can show."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    lines = b"".join(
        b"\0" + bytes((x * 255 // width, y * 255 // height, 99)[i] for x in range(width) for i in range(3))
        for y in range(height)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


# A script that leaves a trace if it runs: in the title of a page, and as a request to the service.
SCRIPT = "document.title='pwned'; try { opener.document.title='pwned' } catch {}; fetch('/api/graphql')"
MIXED = {
    "README.md": b"# Title\n<b>bold</b>\n",
    "big.json": b"[" + b"1234567890123456789, " * (MIB // 18) + b"0]",
    "broken.json": b'{"a": 1,}',
    "broken.png": b"no image",
    "empty.txt": b"",
    "latin.txt": b"caf\xe9\n",
    "metrics.json": json.dumps({"loss": [0.5, 0.25], "seed": 0})
    .replace('"seed": 0', '"seed": 12345678901234567890')
    .encode(),
    "model.bin": bytes(range(256)) * 5000,
    "plots/acc.png": png(40, 30),
    "plots/deep/notes.txt": b"deep",
    "plots/loss.png": png(80, 60),
    "results.csv": ("id,remark\n" + "".join(f'{n},"line one\nline, two"\n' for n in range(600))).encode(),
    "train.log": b"".join(b"step %06d\n" % n for n in range(200_000)),
}
HOSTILE = {
    "<img src=x onerror=document.title=1>.txt": b"text",
    "a%0Ab.txt": b"a newline in its name",
    "cv\u202etxt.exe": b"MZ\0",
    "quote'\" & 100% $(touch x) `id`.txt": b"quotes",
    "naïve 名前 \U0001d56c.txt": b"unicode",
    "page.html": f'<title>page</title><script>{SCRIPT}</script><img src=x onerror="{SCRIPT}">'.encode(),
    "pic.svg": f'<svg xmlns="http://www.w3.org/2000/svg" onload="{SCRIPT}"><script>{SCRIPT}</script></svg>'.encode(),
    "page.txt": f"<script>{SCRIPT}</script>".encode(),
    "fake.png": f"<script>{SCRIPT}</script>".encode(),
    "cells.csv": f'name,"<script>{SCRIPT}</script>"\n=cmd|x,"<img src=x onerror={SCRIPT}>"\n'.encode(),
    "deep.json": b"[" * 500_000,
    "markup.json": json.dumps(
        {"<img src=x onerror=document.title=1>": "</pre><script>document.title=1</script>"}
    ).encode(),
    "turned.txt": ("\u202eא" * 200_000).encode(),
    "lines.txt": b"\n" * MIB,
    "-rf": b"option",
    "w" * 200 + ".txt": b"one long word",
}
MANY = {f"shard-{number:05d}.bin": b"x" * (number % 777) for number in range(9_900)} | {
    f"shard-00300-parts/part-{number:03d}.txt": b"y" for number in range(100)
}


def address(job: str, **params: str) -> str:
    """Return the address of the Artifacts tab."""
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in params.items())
    return f"/jobs/{job}/artifacts" + (f"?{query}" if query else "")
