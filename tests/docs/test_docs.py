"""What the documents say is there."""
import pathlib
import re
import subprocess

import pytest

from conftest import BIN, ROOT

DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")),
        *sorted((ROOT / "examples").rglob("*.md"))]


def known():
    lines = subprocess.run([BIN, "help"], capture_output=True,
                           text=True).stdout.splitlines()
    return {line[2:24].strip() for line in lines
            if line.startswith("  ") and line[2] != " "}


def typed(text):
    """The slipway commands of the fenced code blocks: words and options."""
    for block in re.findall(r"```(?:sh|bash|console)?\n(.*?)```", text, re.S):
        for line in block.splitlines():
            found = re.match(r"\s*(?:\$ )?(?:build/)?slipway ([a-z].*)",
                             line.split(" #")[0])
            if found:
                yield re.sub(r"\".*?\"", "TEXT", found.group(1)).split()


@pytest.mark.parametrize("path", DOCS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_command_in_a_code_block_exists_with_its_options(path):
    names = known()
    for words in typed(path.read_text()):
        name = next((n for n in (" ".join(words[:2]), words[0]) if n in names),
                    None)
        assert name, f"{path}: there is no command {' '.join(words)}"
        usage = subprocess.run([BIN, *name.split(), "--help"], text=True,
                               capture_output=True).stdout
        for option in (w for w in words if w.startswith("--")):
            assert re.search(rf"[ \[]{option.split('=')[0]}\b", usage), \
                (path, words)


def test_the_readme_shows_commands_at_all():
    assert len(list(typed((ROOT / "README.md").read_text()))) >= 8


def test_every_linked_library_is_in_the_list_of_dependencies():
    build = (ROOT / "meson.build").read_text()
    listed = (ROOT / "docs" / "dependencies.md").read_text().lower()
    linked = set(re.findall(r"dependency\('([^']+)'", build))
    assert len(linked) >= 8
    for name in linked - {"threads"}:
        word = {"sqlite3": "sqlite", "libzstd": "zstd"}.get(name, name)
        assert word in listed, name
    for engine in (ROOT / "engines").glob("*.c"):
        assert engine.stem in listed, engine.stem


def test_every_route_in_a_document_exists(tmp_path):
    routes = "".join(p.read_text() for p in
                     (ROOT / "src" / "api" / "routes").glob("*.json"))
    shapes = {re.sub(r"\{[^}]+\}", "*", p)
              for p in re.findall(r'"(/[^"]*)"', routes)}
    for path in DOCS:
        for url in re.findall(r"(?:URL|8080)(/[a-z][^\s\"'`?]*)",
                              path.read_text()):
            parts = url.rstrip(").,").split("/")
            assert any(len(s.split("/")) == len(parts) and all(
                a in ("*", b) for a, b in zip(s.split("/"), parts))
                for s in shapes), (path, url)


@pytest.mark.parametrize("path", [
    *DOCS, *sorted(p for p in ROOT.glob("*.md") if p.name != "README.md"),
    *sorted((ROOT / "src").glob("*/README.md"))],
    ids=lambda p: str(p.relative_to(ROOT)))
def test_links_and_named_files_of_a_document_exist(path):
    text = path.read_text()
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in target:
            assert (path.parent / target).exists(), target
    for name in re.findall(r"`((?:src|docs|tools|tests|examples|deps|engines)/"
                           r"[A-Za-z0-9_./-]+)`", text):
        if "NNNN" not in name:
            assert (ROOT / name).exists(), name


def test_every_room_has_a_readme():
    for room in (ROOT / "src").iterdir():
        if room.is_dir():
            text = room / "README.md"
            assert text.exists(), f"{room.name} has no README.md"
            assert len(text.read_text().splitlines()) <= 120
