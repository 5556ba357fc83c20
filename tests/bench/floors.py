"""What the benchmarks share: a line for each figure with its floor, and the
parts that a command names.

The floors are ratios, because an absolute time says more about the machine
than about us."""
import os
import pathlib
import sys
import tempfile
import time

missed = []


def row(what, value, floor, detail, unit="x", least=True):
    """One line; `least`: the floor is what must be reached, else a ceiling."""
    good = value >= floor if least else value <= floor
    if not good:
        missed.append(what)
    print(f"{what:<50}{value:>9.2f} {unit:<3}{'>=' if least else '<='}"
          f"{floor:>7.2f}  {'ok  ' if good else 'MISS'}  {detail}", flush=True)


def run(parts, only_when_named=()):
    """The parts named at the command line, else all but some, each in a folder
    of its own on the disk to be measured; the exit code."""
    known = {f.__name__: f for f in parts}
    wanted = sys.argv[1:] or [n for n in known if n not in only_when_named]
    if not set(wanted) <= set(known):
        sys.exit(f"bench: there is {', '.join(known)}")
    begin = time.monotonic()
    for name in wanted:
        with tempfile.TemporaryDirectory(
                prefix="bench-", dir=os.environ["SLIPWAY_BENCH_DIR"]) as folder:
            known[name](pathlib.Path(folder))
    print(f"\nbench: {time.monotonic() - begin:.0f} s, "
          f"{len(missed)} missed{': ' if missed else ''}{', '.join(missed)}")
    return 1 if missed else 0
