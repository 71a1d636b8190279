"""Realistic jobs and files for the screenshots in the README."""

import json
import zlib

from artifacts.report import Count
from tests.web.job_data import DAY, JobData, skipped

MIB = 1024 * 1024


def fill(data: JobData) -> None:
    """Add several jobs, one of them with varied artifacts."""
    data.add_job("job-202611281402-x4k2pq", "Pending", ago=25, name="sweep lr=3e-4", user="bob")
    running = data.add_job("job-202611281351-m8s0ti", "Running", ago=11 * 60, name="train resnet50", command="train.py")
    data.add_artifacts(running, {"checkpoints/epoch-1.pt": b"\1" * MIB}, "syncing")
    data.add_artifacts(data.add_job("job-202611281310-34s0ti", ago=52 * 60, name="train resnet18"), _training())
    frames = Count(4210, 96 * MIB)
    rejected = data.add_job("job-202611281244-q0v7ba", ago=80 * 60, name="render frames", user="carol")
    rows = {"over_limit": skipped(frames.files, frames.bytes, ["frames/0001.png"])}
    data.add_artifacts(rejected, {}, "rejected", limit_exceeded=True, found=frames, collected=Count(), skipped=rows)
    failed = data.add_job("job-202611281130-b71kzz", "Failed", ago=150 * 60, name="evaluate", message="exit code 1")
    rows = {"outside_volumes": skipped(1, 0, ["latest"])}
    data.add_artifacts(failed, {"eval.log": b"x" * 3000}, "incomplete", found=Count(2, 3000), skipped=rows)
    data.add_artifacts(
        data.add_job("job-202611280920-kk20se", "Cancelled", ago=5 * 3600, name="tokenize", user="bob"), _tokens()
    )
    old = data.add_job("job-202611200815-77aa0d", ago=8 * DAY, name="train resnet18, first try", user="carol")
    data.add_artifacts(old, _training(), expires_in=-3600)


def _training() -> dict[str, bytes]:
    epochs = [{"epoch": epoch, "loss": round(2.3 / (1 + epoch), 4)} for epoch in range(12)]
    rows = "".join(f"{each['epoch']},{each['loss']}\n" for each in epochs)
    return {
        "config.json": json.dumps({"model": "resnet18", "lr": 0.0003, "epochs": 12}).encode(),
        "metrics.csv": ("epoch,loss\n" + rows).encode(),
        "model.pt": b"\0" * (44 * MIB // 10),
        "plots/accuracy.png": picture(),
        "plots/loss.png": picture(),
        "train.log": b"".join(b"epoch %d loss %.4f\n" % (each["epoch"], each["loss"]) for each in epochs),
    }


def _tokens() -> dict[str, bytes]:
    return {f"shards/{number:03d}.bin": b"\2" * 65_536 for number in range(18)}


def picture(width: int = 240, height: int = 150) -> bytes:
    """Return a PNG with a falling curve."""
    rows = bytearray()
    for y in range(height):
        rows.append(0)
        for x in range(width):
            on_curve = abs(y - (height - 20) * (1 - 8 / (8 + x / 6)) - 10) < 2
            rows += b"\x1d\x5c\xb8" if on_curve else b"\xff\xff\xff"
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\0\0\0"
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(rows))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*each) for each in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")
