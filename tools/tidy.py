#!/usr/bin/env python3
"""The walls, checked: `meson test --suite tidy`, or python3 tools/tidy.py.

Fails on
  - an include of a later room, or of another room's *_internal.h
  - a third-party header outside its one home
  - a table of another room in a room's SQL (a table is <room>_<noun>)
  - malloc and its kin outside base; banned calls; goto; VLAs are the compiler's
  - a public function (a prototype in a room's public header) without a comment
  - lines over 80 columns (100 where a string cannot be broken), tabs, trailing
    blanks
  - a path of somebody's machine in any text file, or one in the documents
    that leads out of this repository
  - a function ARCHITECTURE.md names that does not exist
Prints, without failing, the longest function, file and header, so that growth
is seen.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROOMS = re.findall(r"^subdir\('(\w+)'\)",
                   (ROOT / "src" / "meson.build").read_text(), re.M)
TOOLBOX = {"base", "num", "net", "store", "jobs", "train"}
HOMES = {"sqlite3.h": "src/store", "libpq-fe.h": "src/store",
         "zstd.h": "src/store", "zlib.h": "src/data", "microhttpd.h": "src/net",
         "curl/curl.h": "src/net", "jansson.h": "src/base",
         "libfyaml.h": "src/base", "openssl/": "src/base",
         "duckdb.h": "engines/duckdb.c", "libsvm/svm.h": "engines/libsvm.c",
         "cblas.h": "engines/openblas.c"}
BANNED = ("malloc", "calloc", "realloc", "free", "strdup", "strndup",
          "asprintf", "vasprintf")
NEVER = ("sprintf", "vsprintf", "strcpy", "strcat", "strncpy", "strtok",
         "atoi", "atol", "atof", "gmtime", "localtime", "system", "popen",
         "alloca", "setjmp", "longjmp", "pthread_cancel", "pthread_exit")
# store_event, store_meta and jobs_job are reached by functions only.
TABLE_ROOMS = [r for r in ROOMS if r not in ("base", "num", "net", "api",
                                             "app")]
LINE_MAX, LINE_STRING_MAX = 80, 100
MACHINE = re.compile(r"(?<![\w.}$/])/(?:root|work|workspace|Users)/\w")
UPWARD = re.compile(r"(?<![\w./])\.\./[\w./-]*")

problems = []


def complain(path, line, text):
    problems.append(f"{path.relative_to(ROOT)}:{line}: {text}")


def strip_comments(text):
    """Comments and string contents become blanks; line numbers stay."""
    def blank(m):
        s = m.group(0)
        if s.startswith("/"):
            return re.sub(r"[^\n]", " ", s)
        return s[0] + " " * (len(s) - 2) + s[-1]
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'
                  r"'(?:\\.|[^'\\\n])*'", blank, text, flags=re.S)


def room_of(path):
    parts = path.relative_to(ROOT).parts
    return parts[1] if parts[0] == "src" and len(parts) > 2 else None


def check_includes(path, text):
    room = room_of(path)
    where = str(path.relative_to(ROOT))
    for number, line in enumerate(text.splitlines(), 1):
        m = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if not m:
            continue
        name = m.group(2)
        first = name.split("/")[0]
        if room and first in ROOMS:
            if ROOMS.index(first) > ROOMS.index(room):
                complain(path, number, f"{room} includes {name} of a later "
                                       "room")
            if first != room and name.endswith("_internal.h"):
                complain(path, number, f"{name} is private to {first}")
        for header, home in HOMES.items():
            if name.startswith(header) and not where.startswith(home) \
                    and not where.startswith("tests/"):
                complain(path, number, f"{name} belongs in {home} only")


def check_calls(path, text):
    room = room_of(path)
    code = strip_comments(text)
    for number, line in enumerate(code.splitlines(), 1):
        if line.lstrip().startswith("#"):
            continue
        for name in NEVER:
            if re.search(rf"(?<![\w.>]){name}\s*\(", line):
                complain(path, number, f"{name}() is banned")
        if room and room != "base":
            for name in BANNED:
                if re.search(rf"(?<![\w.>]){name}\s*\(", line):
                    complain(path, number,
                             f"{name}() outside base; use slw_{name}")
        if re.search(r"\bgoto\b", line):
            complain(path, number, "goto is not used here")


def check_tables(path, text):
    room = room_of(path)
    if not room or room in ("base", "num", "net"):
        return
    sql = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group(0)),
                 text, flags=re.S)
    for m in re.finditer(r"\b(?:FROM|JOIN|INTO|UPDATE|TABLE)\s+([a-z]+)_[a-z]",
                         sql):
        owner = m.group(1)
        if owner in TABLE_ROOMS and owner != room:
            complain(path, sql.count("\n", 0, m.start()) + 1,
                     f"SQL of {room} names a table of {owner}")


def check_layout(path, text):
    for number, line in enumerate(text.splitlines(), 1):
        if "\t" in line:
            complain(path, number, "a tab")
        if line != line.rstrip():
            complain(path, number, "a blank at the end")
        limit = LINE_STRING_MAX if '"' in line or "//" in line else LINE_MAX
        if len(line) > limit:
            complain(path, number, f"{len(line)} columns")


PROTOTYPE = re.compile(
    r"^(?!static|typedef|#|struct \w+;|\}|\s)[\w\s\*\(\),]*?\b(slw_\w+)\(",
    re.M)


def check_docstrings(path, text):
    """A prototype stands in a group whose first line follows a comment."""
    lines = text.splitlines()
    documented = False
    for number, line in enumerate(lines, 1):
        stripped = line.strip()
        if stripped.endswith("*/") or stripped.startswith("/*"):
            documented = True
        elif not stripped:
            documented = False
        m = PROTOTYPE.match(line)
        if m and not documented and not re.search(r"/\*", line):
            complain(path, number, f"{m.group(1)} has no docstring")


def longest_functions(path, text, found):
    start = None
    for number, line in enumerate(text.splitlines(), 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            found.append((number - start, f"{path.relative_to(ROOT)}:{start}"))
            start = None


def check_architecture(defined):
    path = ROOT / "ARCHITECTURE.md"
    for number, line in enumerate(path.read_text().splitlines(), 1):
        for name in re.findall(r"`(slw_\w+)(?:\(\))?`", line):
            if name not in defined:
                complain(path, number, f"{name} does not exist")
        for name in re.findall(r"`((?:src|engines|tests|tools|docs)/[\w./-]+)`",
                               line):
            if not (ROOT / name).exists():
                complain(path, number, f"{name} does not exist")


def check_format(files):
    """clang-format, where it is installed (make format writes it)."""
    try:
        out = subprocess.run(["clang-format", "--dry-run", "--Werror",
                              "-ferror-limit=1", *map(str, files)],
                             capture_output=True, text=True)
    except FileNotFoundError:
        print("clang-format is not installed: format not checked")
        return
    for line in out.stderr.splitlines():
        m = re.match(r"(.*?):(\d+):\d+: error: code should be", line)
        if m:
            complain(pathlib.Path(m.group(1)), int(m.group(2)),
                     "not as clang-format writes it; run make format")


def tracked_text():
    listing = subprocess.run(["git", "-C", str(ROOT), "ls-files"],
                             capture_output=True, text=True)
    for name in listing.stdout.splitlines():
        path = ROOT / name
        if path.suffix in (".csv", ".ubj", ".bin", ".png") or \
                not path.is_file():
            continue
        try:
            yield path, path.read_text()
        except UnicodeDecodeError:
            continue


def main():
    files = sorted(p for d in ("src", "engines", "tests")
                   for p in (ROOT / d).rglob("*.[ch]"))
    functions, defined = [], set()
    for path in files:
        text = path.read_text()
        check_includes(path, text)
        check_layout(path, text)
        if path.parts[-2] != "fuzz" and not str(path).startswith(
                str(ROOT / "tests")):
            check_calls(path, text)
            check_tables(path, text)
        longest_functions(path, text, functions)
        defined.update(re.findall(r"^(slw_\w+)\(", text, re.M))
        room = room_of(path)
        public = room and path.suffix == ".h" and not \
            path.name.endswith("_internal.h")
        if public and (room in TOOLBOX or path.stem == room):
            check_docstrings(path, text)
    check_architecture(defined)
    check_format(files)
    for path, text in tracked_text():
        if path == pathlib.Path(__file__).resolve():
            continue
        documents = path.suffix in (".md", ".yaml", ".json", "")
        for number, line in enumerate(text.splitlines(), 1):
            if MACHINE.search(line):
                complain(path, number, "names a path of one machine")
            for m in UPWARD.finditer(line) if documents else ():
                target = (path.parent / m.group()).resolve()
                if ROOT not in target.parents or not target.exists():
                    complain(path, number, f"{m.group()} is not in here")
    functions.sort(reverse=True)
    print("longest functions:", *(f"{n} {w}" for n, w in functions[:3]),
          sep="\n  ")
    sizes = sorted(((len(p.read_text().splitlines()), str(p.relative_to(ROOT)))
                    for p in files), reverse=True)
    print("longest files:", *(f"{n} {w}" for n, w in sizes[:3]), sep="\n  ")
    for problem in problems:
        print(problem)
    print(f"{len(files)} files, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
