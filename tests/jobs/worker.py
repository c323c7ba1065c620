"""Stands for ``python -m workbench.run`` where only the outcome matters: does what the parameter ``does`` says."""

import json
import os
import signal
import sys
import time
from pathlib import Path

folder = Path(sys.argv[1])
record = json.loads((folder / "run.json").read_text())
does, attempt = record["parameters"]["does"], record["attempts"] + 1


def write(status, error=None):
    record.update(status=status, error=error, attempts=attempt, started="2026-01-01T00:00:00+00:00", seconds=0.1,
                  process={"id": os.getpid(), "host": os.uname().nodename, "began": None})
    (folder / "run.json.part").write_text(json.dumps({key: value for key, value in record.items() if key != "digest"}))
    (folder / "run.json.part").rename(folder / "run.json")


write("running")
print("gpus", os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
if does == "waits":
    signal.signal(signal.SIGTERM, lambda *_: (write("killed", "interrupted"), sys.exit(130)))
    time.sleep(60)
if does == "raises":
    write("failed", "ValueError: no such thing")
    sys.exit(1)
if does == "dies once" and attempt == 1 or does == "dies":
    os.kill(os.getpid(), signal.SIGKILL)
if does == "loses its kernel once" and attempt == 1:
    write("failed", "the kernel died (out of memory, or killed from outside); finished cells are kept")
    sys.exit(1)
if does == "lies":
    write("succeeded")
    sys.exit(3)
(folder / "metrics.json").write_text(json.dumps({"score": float(record["parameters"]["seed"])}))
write("succeeded")
