#!/usr/bin/env python3
"""Makes a small root file system of Debian, as a tar, from the packages that are installed on this host.

usage: rootfs.py OUTPUT.tar PACKAGE…

Needs no network: the essential packages, those named and all that they depend on are copied file by file, and dpkg's
database of them, so that a .deb can be installed there. What only packages' scripts make (users beside the standard
ones, caches) is missing. For tests: a chroot to install into, the base of an image.
"""
import io
import os
import re
import sys
import tarfile

INFO = "/var/lib/dpkg/info"
LEFT_OUT = ("/usr/share/doc/", "/usr/share/man/", "/usr/share/locale/", "/usr/share/info/")


def installed():
    """{name: fields} of every installed package, and which packages provide a name."""
    packages, provided = {}, {}
    with open("/var/lib/dpkg/status", encoding="utf-8") as status:
        for text in status.read().split("\n\n"):
            fields = dict(re.findall(r"^([A-Za-z-]+): ?(.*(?:\n .*)*)", text, re.M))
            if fields.get("Status", "").endswith(" installed"):
                name = fields["Package"]
                packages[name] = {**fields, "text": text.strip("\n")}
                for other in re.findall(r"([a-z0-9.+-]+)(?: \([^)]*\))?", fields.get("Provides", "")):
                    provided.setdefault(other, []).append(name)
    return packages, provided


def closure(wanted, packages, provided):
    found, todo = set(), list(wanted)
    while todo:
        name = todo.pop()
        if name in found:
            continue
        if name not in packages:
            sys.exit(f"rootfs.py: {name} is not installed here")
        found.add(name)
        fields = packages[name]
        for alternatives in re.split(r",\s*", ",".join(fields.get(key, "") for key in ("Pre-Depends", "Depends"))):
            names = [re.match(r"[a-z0-9.+-]+", one.strip()) for one in alternatives.split("|")]
            names = [one[0] for one in names if one]
            here = [one for one in names if one in packages]
            here += [other for one in names for other in provided.get(one, [])]
            if here:
                todo.append(here[0])
    return found


def listed(name, fields):
    for stem in (name, f"{name}:{fields['Architecture']}"):
        path = f"{INFO}/{stem}.list"
        if os.path.exists(path):
            with open(path, encoding="utf-8") as lines:
                return stem, [line for line in lines.read().splitlines() if line != "/."]
    return name, []


class Root:
    def __init__(self, path):
        self.tar = tarfile.open(path, "w")
        self.names = set()

    def add(self, path):
        """A file, link or folder of the host, where it is once links to /usr are followed."""
        folder, base = os.path.split(path)
        path = os.path.join(os.path.realpath(folder), base)
        if path in self.names or not os.path.lexists(path):
            return
        self.names.add(path)
        self.tar.add(path, recursive=False)

    def folder(self, path, mode):
        info = tarfile.TarInfo(path.lstrip("/"))
        info.type, info.mode = tarfile.DIRTYPE, mode
        self.names.add(path)
        self.tar.addfile(info)

    def text(self, path, content):
        info = tarfile.TarInfo(path.lstrip("/"))
        data = content.encode()
        info.size, info.mode = len(data), 0o644
        self.names.add(path)
        self.tar.addfile(info, io.BytesIO(data))


def main():
    output, wanted = sys.argv[1], sys.argv[2:]
    packages, provided = installed()
    wanted += [name for name, fields in packages.items() if fields.get("Essential") == "yes"]
    chosen = sorted(closure(wanted, packages, provided))
    root = Root(output + ".new")
    for path in ("/tmp", "/var/tmp"):
        root.folder(path, 0o1777)
    for path in ("/proc", "/sys", "/dev", "/run", "/root", "/var/lib/dpkg/updates", "/var/lib/dpkg/triggers"):
        root.folder(path, 0o755)
    for path in ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"):
        if os.path.islink(path):
            root.add(path)
    for name in chosen:
        stem, files = listed(name, packages[name])
        for path in files:
            if not path.startswith(LEFT_OUT):
                root.add(path)
        for kind in ("list", "md5sums", "conffiles", "postinst", "prerm", "postrm", "preinst", "triggers", "shlibs",
                     "symbols"):
            root.add(f"{INFO}/{stem}.{kind}")
    root.add(f"{INFO}/format")
    for link in os.listdir("/etc/alternatives"):
        if os.path.realpath(f"/etc/alternatives/{link}") in root.names:
            root.add(f"/etc/alternatives/{link}")
            # The generic name (awk) belongs to no package.
            for folder in ("/usr/bin", "/usr/sbin"):
                path = f"{folder}/{link}"
                if os.path.islink(path) and os.readlink(path) == f"/etc/alternatives/{link}":
                    root.add(path)
    for name in ("passwd", "group"):
        with open(f"/usr/share/base-passwd/{name}.master", encoding="utf-8") as master:
            root.text(f"/etc/{name}", master.read())
    root.text("/var/lib/dpkg/status", "\n\n".join(packages[name]["text"] for name in chosen) + "\n")
    root.tar.close()
    os.rename(output + ".new", output)


main()
