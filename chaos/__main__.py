"""`make chaos`: play the faults, each on a run of its own that ends with the oracle's comparison."""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback

from chaos.faults import FAULTS
from chaos.ground import CannotPlayError, Ground
from local.postgres import EmbeddedPostgres
from tests.support.kafka import NoKafkaError, make_kafka

_ONCE = {"soak", "recovery-time"}


def main() -> int:
    """Play what the command line asks for; the exit status is 1 when a run differs."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="fault", help=f"of {', '.join(FAULTS)} (default: all but soak)")
    parser.add_argument("--runs", type=int, default=1, help="of each (default 1)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 10**6), help="plays a run again")
    chosen = parser.parse_args()
    unknown = set(chosen.faults) - FAULTS.keys()
    if unknown:
        parser.error(f"there is no fault {', '.join(sorted(unknown))}; there are {', '.join(FAULTS)}")
    names = chosen.faults or [name for name in FAULTS if name != "soak"]
    plan = [(name, chosen.seed + n) for name in names for n in range(1 if name in _ONCE else chosen.runs)]
    print(f"chaos: {len(plan)} runs, seed {chosen.seed}", flush=True)
    failed: list[tuple[str, int]] = []
    left_out: list[str] = []
    with make_kafka() as kafka, EmbeddedPostgres() as postgres:
        ground = Ground(kafka, postgres)
        for number, (name, seed) in enumerate(plan, 1):
            began = time.monotonic()
            try:
                said = FAULTS[name](ground, random.Random(seed))
            except (NoKafkaError, CannotPlayError) as reason:
                left_out.append(name)
                said = f"cannot be played here: {reason}"
            except Exception:
                failed.append((name, seed))
                said = f"DIFFERS, seed {seed}:\n{traceback.format_exc()}"
            print(f"{number:>4}/{len(plan)}  {name:<17} {time.monotonic() - began:5.0f} s  {said}", flush=True)
    played = len(plan) - len(left_out)
    print(f"chaos: {played - len(failed)} of {played} equal" + (f"; to play again: {failed}" if failed else "")
          + (f"; not played: {', '.join(left_out)}" if left_out else ""))  # fmt: skip
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
