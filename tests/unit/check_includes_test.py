#!/usr/bin/env python3
"""Proves that check_includes.py notices each kind of violation, on small trees made for it."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).with_name("check_includes.py")
TABLE = """# Architecture
## Allowed includes
| folder | may include |
|---|---|
| `util` | |
| `block` | `util` |
| `platform` | `block` `util` |
| `target` | `block` `util` |
## After
| `util` | `target` |
"""
GOOD = {
    "ARCHITECTURE.md": TABLE,
    "lib/hamal/CMakeLists.txt": "hamal_module(util USES x)\nhamal_module(target DEPENDS block util)\n",
    "lib/hamal/util/error.hpp": "#include <string>\n",
    "lib/hamal/block/reader.hpp": '#include "hamal/util/error.hpp"\n',
    "lib/hamal/block/nbd.cpp": "#include <libnbd.h>\n",
    "lib/hamal/platform/platform.hpp": '#include "hamal/block/reader.hpp"\n',
    "lib/hamal/platform/qemu/qmp.hpp": '#include "hamal/platform/platform.hpp"\n',
    "lib/hamal/platform/file/file.hpp": "\n",
    "lib/hamal/target/target.hpp": '#include "hamal/block/reader.hpp"\n',
    "tools/common/tool_main.hpp": "#include <string>\n",
    "tools/hamal-sync/main.cpp": '#include "common/tool_main.hpp"\n',
    "tools/hamal-snapshot/options.hpp": "\n",
}


def check(changes):
    with tempfile.TemporaryDirectory() as directory:
        for name, text in {**GOOD, **changes}.items():
            path = pathlib.Path(directory, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        done = subprocess.run([sys.executable, SCRIPT, directory], capture_output=True, text=True,
                              check=False)
        return done.returncode, done.stderr


class CheckIncludes(unittest.TestCase):
    def refused(self, changes, message):
        status, errors = check(changes)
        self.assertEqual(status, 1)
        self.assertIn(message, errors)
        self.assertEqual(len(errors.splitlines()), 1, errors)

    def test_good_tree_passes(self):
        self.assertEqual(check({}), (0, ""))

    def test_target_including_platform(self):
        self.refused({"lib/hamal/target/file.cpp": '#include "hamal/platform/platform.hpp"\n'},
                     "lib/hamal/target/file.cpp:1: target/ may not include platform/")

    def test_platform_including_target(self):
        self.refused({"lib/hamal/platform/a.cpp": '\n#  include "hamal/target/target.hpp"\n'},
                     "lib/hamal/platform/a.cpp:2: platform/ may not include target/")

    def test_lower_including_higher_in_angle_brackets(self):
        self.refused({"lib/hamal/util/a.hpp": "#include <hamal/block/reader.hpp>\n"},
                     "util/ may not include block/")

    def test_one_platform_including_another(self):
        self.refused({"lib/hamal/platform/qemu/a.cpp": '#include "hamal/platform/file/file.hpp"\n'},
                     "platform qemu includes platform file")

    def test_third_party_header_used_by_another_folder(self):
        self.refused({"lib/hamal/block/reader.hpp": "#include <libnbd.h>\n",
                      "lib/hamal/target/target.hpp": "\n"},
                     "lib/hamal/platform/platform.hpp:1: hamal/block/reader.hpp brings <libnbd.h>")

    def test_third_party_header_used_through_another_header(self):
        self.refused({"lib/hamal/block/handle.hpp": "#include <libnbd.h>\n",
                      "lib/hamal/block/reader.hpp": '#include "hamal/block/handle.hpp"\n',
                      "lib/hamal/target/target.hpp": "\n"},
                     "hamal/block/reader.hpp brings <libnbd.h>")

    def test_third_party_header_used_in_its_folder(self):
        self.assertEqual(check({"lib/hamal/block/handle.hpp": "#include <libnbd.h>\n",
                                "lib/hamal/block/nbd.cpp":
                                '#include "hamal/block/handle.hpp"\n'}), (0, ""))

    def test_tool_including_another_tool(self):
        self.refused({"tools/hamal-sync/a.cpp": '#include "hamal-snapshot/options.hpp"\n'},
                     "hamal-sync includes the tool hamal-snapshot")

    def test_library_including_a_tool(self):
        self.refused({"lib/hamal/util/a.cpp": '#include "common/tool_main.hpp"\n'},
                     "the library includes a tool's header")

    def test_folder_without_row(self):
        self.refused({"lib/hamal/extent/extent.hpp": "\n"}, "no row for lib/hamal/extent")

    def test_table_with_a_cycle(self):
        cyclic = TABLE.replace("| `util` | |", "| `util` | `block` |", 1)
        self.refused({"ARCHITECTURE.md": cyclic}, "`util` may include `block`, which is not above")

    def test_cmake_linking_what_is_forbidden(self):
        self.refused({"lib/hamal/CMakeLists.txt": "hamal_module(block DEPENDS util platform)\n"},
                     "block DEPENDS platform")

    def test_missing_table(self):
        status, errors = check({"ARCHITECTURE.md": "# Architecture\n"})
        self.assertEqual(status, 1)
        self.assertIn("no section", errors)


if __name__ == "__main__":
    unittest.main()
