"""``python -m tests.perf``: paired, one-thread ratios of the engine to loops written by hand, with 95 % intervals."""

from __future__ import annotations

import argparse
import json
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # noqa: E402

from tests.perf.measure import MEASUREMENTS, QUICK  # noqa: E402
from tests.perf.pairs import keep_freed_memory  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.perf", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(MEASUREMENTS)}; or their beginnings (default: all)")
    parser.add_argument("--json", action="store_true", help="print one object: name -> {ratio, low, high, pairs, ...}")
    parser.add_argument("--pairs", type=int, help="pairs of each measurement, instead of its own number")
    parser.add_argument("--quick", dest="pairs", action="store_const", const=QUICK, help=f"{QUICK} pairs of each")
    parser.add_argument("--clock", choices=("cpu", "wall"), default="cpu", help="what is timed (default: cpu)")
    asked = parser.parse_args(arguments)
    chosen = [name for name in MEASUREMENTS if not asked.names or name.startswith(tuple(asked.names))]
    if not chosen:
        parser.error(f"no measurement is called {asked.names[0]}: there are {', '.join(MEASUREMENTS)}")
    torch.set_num_threads(1)
    keep_freed_memory()
    found, broken = {}, []
    for name in chosen:
        measurement = MEASUREMENTS[name]
        wrong = measurement.check()
        if wrong:
            print(f"{name}: {wrong}", file=sys.stderr)
            broken.append(name)
            continue
        ratio = measurement.taken(asked.pairs, asked.clock)
        held = measurement.held(ratio)
        found[name] = {**ratio.told(), "bound": measurement.bound, "bounds": measurement.which, "held": held}
        broken += [] if held else [name]
        if not asked.json:
            print(f"{name:17} {ratio.ratio:.3f} [{ratio.low:.3f}, {ratio.high:.3f}] of {ratio.pairs} pairs, in all "
                  f"{ratio.total:.3f}; {1e3 * ratio.seconds:.2f} ms a step by hand; {measurement.which} <= "
                  f"{measurement.bound}: {'held' if held else 'NOT HELD'}", flush=True)
    if asked.json:
        print(json.dumps(found, indent=1))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
