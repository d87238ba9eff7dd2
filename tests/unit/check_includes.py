#!/usr/bin/env python3
"""Checks which folder includes which, against the table in ARCHITECTURE.md.

usage: check_includes.py [ROOT]     (the top of the source tree; default: this one)

The table is the rule and this is its judge: every folder of lib/hamal must have a row, a folder may
include itself and what its row names, one platform's folder never another's, and no header that
others include pulls in a third-party library that is meant to stay inside one folder.
"""
import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
ROW = re.compile(r"^\|\s*`([a-z/_]+)`\s*\|([^|]*)\|")
# Slow to compile, or likely to be replaced: no other folder should notice them.
PRIVATE_LIBRARIES = ("CLI/", "nlohmann/", "soci/", "spdlog/", "libnbd.h", "ini.h", "INIReader.h",
                     "rados/", "rbd/", "openssl/", "xxhash.h", "zstd.h", "sqlite3.h", "curl/", "libxml/")
# Its headers bring one of them, for the .cpp files of other folders.
SHARED_PRIVATE = "json"


def allowed_includes(architecture):
    """{folder: set of folders} from the table under "Allowed includes"."""
    text = architecture.read_text(encoding="utf-8")
    _, found, section = text.partition("\n## Allowed includes\n")
    if not found:
        sys.exit(f"{architecture}: no section 'Allowed includes'")
    rows = {}
    for line in section.partition("\n## ")[0].splitlines():
        match = ROW.match(line)
        if match:
            rows[match[1]] = set(re.findall(r"`([a-z/_]+)`", match[2]))
    if not rows:
        sys.exit(f"{architecture}: the table of allowed includes has no rows")
    return rows


def check_order(rows):
    """A folder includes only folders above it: without this the table itself could allow a cycle."""
    above = set()
    for folder, allowed in rows.items():
        for name in sorted(allowed - above):
            yield f"ARCHITECTURE.md: `{folder}` may include `{name}`, which is not above it"
        above.add(folder)


def includes(path):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match[2]


def check_library_file(root, path, rows):
    relative = path.relative_to(root)
    folder = relative.parts[2]
    for number, name in includes(path):
        where = f"{relative}:{number}"
        parts = name.split("/")
        if parts[0] == "hamal" and len(parts) > 2:
            other = parts[1]
            if other != folder and other not in rows.get(folder, set()):
                yield f"{where}: {folder}/ may not include {other}/ ({name})"
            elif folder == other == "platform" and len(parts) > 3 and len(relative.parts) > 4 \
                    and parts[2] != relative.parts[3]:
                yield f"{where}: platform {relative.parts[3]} includes platform {parts[2]} ({name})"
        elif not (path.parent / name).exists() and (root / "tools" / name).exists():
            yield f"{where}: the library includes a tool's header ({name})"


def check_third_party(root, sources):
    """A header with a private library in it, directly or through another, stays in its folder."""
    tainted = {}  # header -> the library it brings along
    for path in sources:
        for _, name in includes(path):
            if path.suffix == ".hpp" and name.startswith(PRIVATE_LIBRARIES):
                tainted[path] = name
    todo = list(tainted)
    while todo:
        header = todo.pop()
        for path in sources:
            for number, name in includes(path):
                if root / "lib" / name != header and root / "tools" / name != header:
                    continue
                shared = header.parent == root / "lib/hamal" / SHARED_PRIVATE
                if path.parent != header.parent and not shared:
                    yield (f"{path.relative_to(root)}:{number}: {name} brings <{tainted[header]}> "
                           "out of its folder")
                elif path.suffix == ".hpp" and path not in tainted:
                    tainted[path] = tainted[header]
                    todo.append(path)


def check_tool_file(root, path):
    """A tool includes the library, tools/common and itself; never another tool."""
    relative = path.relative_to(root)
    tool = relative.parts[1]
    for number, name in includes(path):
        first = name.split("/")[0]
        if first != tool and first != "common" and (root / "tools" / first).is_dir():
            yield f"{relative}:{number}: {tool} includes the tool {first} ({name})"


def check_modules(root, rows):
    """CMake's DEPENDS must not link what the table forbids to include."""
    text = (root / "lib/hamal/CMakeLists.txt").read_text(encoding="utf-8")
    for folder, depends in re.findall(r"hamal_module\((\w+)\s+DEPENDS\s+([a-z_ ]+)", text):
        for name in depends.split():
            if name not in rows.get(folder, set()):
                yield f"lib/hamal/CMakeLists.txt: {folder} DEPENDS {name}, which the table forbids"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
    if root.is_file():
        root = root.parents[2]
    rows = allowed_includes(root / "ARCHITECTURE.md")
    problems = list(check_order(rows))
    library = root / "lib/hamal"
    for folder in sorted(p.name for p in library.iterdir() if p.is_dir()):
        if folder not in rows:
            problems.append(f"ARCHITECTURE.md: no row for lib/hamal/{folder}")
    library_files = sorted(library.rglob("*.[hc]pp"))
    tool_files = sorted((root / "tools").rglob("*.[hc]pp"))
    for path in library_files:
        problems += check_library_file(root, path, rows)
    for path in tool_files:
        problems += check_tool_file(root, path)
    problems += check_third_party(root, library_files + tool_files)
    problems += check_modules(root, rows)
    checked = len(library_files) + len(tool_files)
    for problem in problems:
        print(problem, file=sys.stderr)
    if checked == 0:
        sys.exit(f"no sources under {root}")
    print(f"{checked} files, {len(rows)} folders, {len(problems)} violations")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
