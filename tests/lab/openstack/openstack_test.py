#!/usr/bin/python3
"""The lab does what tests of the platform build on: openstack_test.py. Exit status 77: its packages are missing.

Break it: without ends_with_parent() the last test finds the services still there; without the ports written into
the catalog (template.py) nothing answers; without X-Forwarded-Proto the next page is no https.
"""
import argparse
import http.client
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
import client  # noqa: E402
import lab  # noqa: E402

PROGRAM = str(HERE / "openstack.py")
MIB = 1 << 20


class Lab(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.directory = cls.scratch.name + "/lab"
        cls.keeper = subprocess.Popen([PROGRAM, "run", cls.directory, "--page", "3", "--token-seconds", "6"],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        cls.values = {}
        for line in cls.keeper.stdout:
            if line == "ready\n":
                break
            name, _, value = line.rstrip("\n").partition("=")
            cls.values[name] = value
        cls.user = client.Client(cls.values["keystone_url"], "hamal", "hamal-secret", "demo")

    @classmethod
    def tearDownClass(cls):
        if cls.keeper.poll() is None:
            cls.keeper.stdin.close()
            cls.keeper.wait()
        cls.keeper.stdout.close()
        cls.scratch.cleanup()

    def program(self, word, *arguments):
        return subprocess.run([PROGRAM, word, self.directory, *map(str, arguments)], check=True, stdout=subprocess.PIPE,
                              text=True, timeout=200).stdout

    def test_1_a_server_has_volumes_that_can_be_written(self):
        content = os.urandom(3 * MIB)
        image, out = pathlib.Path(self.scratch.name, "image"), pathlib.Path(self.scratch.name, "out")
        image.write_bytes(content)
        words = self.program("server", "web", 1, 2, 1, "--image", image).split()
        server, volumes = words[0][len("server="):], [word[len("volume="):] for word in words[1:]]
        disks = self.user.call("GET", "compute", f"/servers/{server}/os-volume_attachments")["volumeAttachments"]
        self.assertEqual([disk["volumeId"] for disk in sorted(disks, key=lambda disk: disk["device"])], volumes)
        self.program("export", volumes[0], out)
        self.assertEqual(out.read_bytes()[:3 * MIB], content)
        self.program("write", volumes[1], 8 * MIB, image)
        self.program("discard", volumes[1], 9 * MIB, MIB)
        self.program("export", volumes[1], out)
        with open(out, "rb") as file:
            file.seek(8 * MIB)
            self.assertEqual(file.read(3 * MIB), content[:MIB] + bytes(MIB) + content[2 * MIB:])
        self.assertEqual(out.stat().st_size, 2 << 30)
        snapshot = self.user.call("POST", "volumev3", "/snapshots", {
            "snapshot": {"volume_id": volumes[1], "name": "s", "force": True}})["snapshot"]["id"]
        self.user.wait("volumev3", f"/snapshots/{snapshot}", "available")
        self.user.call("DELETE", "volumev3", f"/snapshots/{snapshot}")
        self.user.wait("volumev3", f"/snapshots/{snapshot}", "deleted")
        self.user.make_volume("spare", 1)  # more than a page

    def catalog(self, region, kind):
        login = {"auth": self.user.login}
        _, reply = client.send("POST", self.values["keystone_url"] + "/auth/tokens", login)
        return next(end["url"] for service in reply["token"]["catalog"] if service["type"] == kind
                    for end in service["endpoints"] if end["region_id"] == region and end["interface"] == "public")

    def get(self, url):
        request = urllib.request.Request(url, headers={"X-Auth-Token": self.user.token})
        trust = ssl.create_default_context(cafile=self.values["ca_file"])
        with urllib.request.urlopen(request, timeout=60, context=trust) as reply:
            return json.loads(reply.read())

    def test_2_pages_lead_back_to_the_proxy(self):
        self.user.log_in()
        for region, scheme in (("Faulty", "http:"), ("Secure", "https:")):
            base = self.catalog(region, "volumev3")
            self.assertTrue(base.startswith(scheme))
            page = self.get(base + "/volumes")
            self.assertEqual(len(page["volumes"]), 3)
            following = next(link["href"] for link in page["volumes_links"] if link["rel"] == "next")
            self.assertTrue(following.startswith(base), following)
            self.assertEqual(len(self.get(following)["volumes"]), 1)

    def test_3_the_proxy_misbehaves_as_it_is_told(self):
        self.user.log_in()
        url = self.catalog("Faulty", "volumev3") + "/volumes"
        self.program("faults", json.dumps([
            {"do": "status", "status": 429, "headers": {"Retry-After": "1"}, "service": "cinder", "contains": "/volumes"},
            {"do": "cut"}, {"do": "truncate"}, {"do": "garble"}]))
        with self.assertRaises(urllib.error.HTTPError) as refused:
            self.get(url)
        self.assertEqual((refused.exception.code, refused.exception.headers["Retry-After"]), (429, "1"))
        refused.exception.close()
        for error in (http.client.RemoteDisconnected, http.client.IncompleteRead, json.JSONDecodeError):
            with self.assertRaises(error):
                self.get(url)
        self.assertEqual(len(self.get(url)["volumes"]), 3)
        self.assertEqual([line.split("?")[0].split("/")[0] for line in self.program("faults").splitlines()],
                         ["cinder GET "] * 5)

    def test_4_a_token_ends_and_a_service_comes_back(self):
        self.user.log_in()
        old = self.user.token
        self.program("kill", "cinder")
        with self.assertRaises(OSError):
            self.user.call("GET", "volumev3", "/volumes")
        self.program("start", "cinder")
        end = time.time() + 60
        while time.time() < end:
            try:
                client.send("GET", self.user.urls["compute"] + "/servers", headers={"X-Auth-Token": old})
            except client.Refused as refused:
                self.assertEqual(refused.status, 401)
                break
            time.sleep(0.2)
        else:
            self.fail("the token of 6 seconds has not expired")
        self.assertEqual(len(self.user.call("GET", "volumev3", "/volumes")["volumes"]), 3)

    def test_5_everything_ends_with_the_keeper(self):
        pids = [line.split()[0] for name in ("pids", "ceph/pids")
                for line in pathlib.Path(self.directory, name).read_text().splitlines()]
        self.assertGreater(len(pids), 8)
        self.keeper.send_signal(signal.SIGKILL)
        self.keeper.stdin.close()
        self.keeper.wait()
        end = time.time() + 60
        while any(self.lives(pid) for pid in pids):
            self.assertLess(time.time(), end, "something outlived the keeper")
            time.sleep(0.02)

    def lives(self, pid):
        try:
            return self.directory.encode() in pathlib.Path(f"/proc/{pid}/environ").read_bytes() + \
                pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False


class Ports(unittest.TestCase):
    """Break it: one attempt alone in Lab.start(), or choose the ports in Lab.__init__()."""

    def test_another_has_taken_a_port(self):
        find = lab.free_ports
        with tempfile.TemporaryDirectory() as directory, socket.socket() as another:
            another.bind(("127.0.0.1", 0))
            taken = str(another.getsockname()[1])
            chosen = []

            def choose(names):
                chosen.append({**find(names), **({} if chosen else {"keystone": taken})})
                return chosen[-1]

            options = argparse.Namespace(services=["keystone"], token_seconds=60, strict="false", page=3)
            started = lab.Lab(directory, options)
            with unittest.mock.patch.object(lab, "free_ports", choose):
                try:
                    started.start()
                    self.assertNotEqual(started.report()["keystone_url"], f"http://127.0.0.1:{taken}/v3")
                    client.Client(started.report()["keystone_url"], "hamal", "hamal-secret", "demo")
                finally:
                    started.stop()
            self.assertGreater(len(chosen), 1)


if __name__ == "__main__":
    missing = lab.why_missing()
    if missing:
        print("skipped: " + missing)
        sys.exit(77)
    unittest.main()
