"""``python -m tests.chaos``: kill -9 at random moments, resume, and compare with the run that was left alone.

Half of the kills hit trainings, half the kernels, workers and schedulers of sweeps.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.chaos import jobs
from tests.chaos.harness import Chaos, Outcome
from tests.chaos.life import FORGET
from tests.chaos.scenarios import scenarios


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="kills in all, half of them of sweeps' processes")
    parser.add_argument("--only", choices=("trainings", "sweeps"), help="all of the kills there")
    parser.add_argument("--seed", type=int, default=0, help="decides how and when the runs are killed")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args(arguments)
    trainings = {"trainings": asked.kills, "sweeps": 0}.get(asked.only, asked.kills // 2)
    with tempfile.TemporaryDirectory(prefix="chaos-") as root:
        chaos, found = Chaos(Path(root), asked.seed), list(scenarios().values())
        shares = [trainings * (i + 1) // len(found) - trainings * i // len(found) for i in range(len(found))]
        outcomes = [told(chaos.torment(scenario, share), not asked.json)
                    for scenario, share in zip(found, shares, strict=True) if share]
        sweeps = jobs.torment(Path(root).resolve(), asked.kills - trainings, asked.seed)
        controls = {name: chaos.control(scenarios()["two clocks"], name) for name in FORGET}
    failed = [one.name for one in outcomes if one.said] + [name for name, seen in controls.items() if not seen]
    failed += ["sweeps"] if sweeps.said else []
    if asked.json:
        rows = {one.name: {"kills": one.kills, "interrupts": one.interrupts, "redone": sum(one.again),
                           "redone_most": max(one.again, default=0), "checkpoint_interval": one.save_every,
                           "differences": one.said, "seconds": round(one.seconds, 1)} for one in outcomes}
        print(json.dumps({"seed": asked.seed, "kills": sum(one.killed for one in outcomes) + sweeps.killed,
                          "scenarios": rows, "sweeps": asdict(sweeps),
                          "controls": controls, "failed": failed}, indent=1))
    else:
        print(f"{sweeps.sweeps} sweeps: {sweeps.killed} kills ({sweeps.kills}), {sum(sweeps.again)} steps redone, "
              f"at most {max(sweeps.again, default=0)} of {jobs.EVERY} at once; all gone at most "
              f"{max(sweeps.orphans, default=0):.1f} s after a scheduler, {sweeps.seconds:.1f} s")
        for said in sweeps.said:
            print(f"  {said}")
        for name, seen in controls.items():
            print(f"negative control, {name} not restored: {'found: ' + seen[0] if seen else 'NOT FOUND'}")
        print(f"seed {asked.seed}: {sum(one.killed for one in outcomes) + sweeps.killed} kills, "
              f"{'failed: ' + ', '.join(failed) if failed else 'all ended with the same bits, every event once'}")
    return 1 if failed else 0


def told(outcome: Outcome, aloud: bool) -> Outcome:
    if aloud:
        ways = ", ".join(f"{count} at a {way}" for way, count in outcome.kills.items())
        print(f"{outcome.name}: {outcome.killed} kills ({ways}), {outcome.interrupts} Ctrl-C, "
              f"{sum(outcome.again)} steps redone, at most {max(outcome.again, default=0)} of {outcome.save_every} "
              f"at once, {outcome.seconds:.1f} s", flush=True)
        for difference in outcome.said:
            print(f"  {difference}", flush=True)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
