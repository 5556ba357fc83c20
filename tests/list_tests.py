"""Names of the unit tests of a room, for Meson: test_<name>.c of its folder."""
import pathlib
import sys

folder = pathlib.Path(__file__).parent / "unit" / sys.argv[1]
print(*sorted(p.stem[5:] for p in folder.glob("test_*.c")))
