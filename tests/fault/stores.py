"""The stores that repositories are in, as the fault tests see them: objects to look at and to damage, and a store
that goes away, comes back and fills up."""
import hashlib
import os
import shutil
import subprocess
import urllib.parse
import xml.etree.ElementTree

import lab

CEPH = os.path.join(lab.SOURCE, "tests/lab/ceph.sh")


class Directory:
    name = "a directory"

    full = "No space left on device"

    def __init__(self, world):
        self.world = world
        self.path = world.path("store")
        self.uri = "dir:" + self.path

    def keys(self, prefix):
        """With their sizes."""
        found = {}
        for folder, _, names in os.walk(os.path.join(self.path, prefix)):
            for name in names:
                path = os.path.join(folder, name)
                found[os.path.relpath(path, self.path)] = os.stat(path).st_size
        return found

    def read(self, key):
        with open(os.path.join(self.path, key), "rb") as file:
            return file.read()

    def write(self, key, content):
        path = os.path.join(self.path, key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".new", "wb") as out:
            out.write(content)
        os.rename(path + ".new", path)

    def delete(self, key):
        os.unlink(os.path.join(self.path, key))

    def go_away(self):
        """As a file system that is not mounted any more; what the tool says then."""
        os.rename(self.path, self.path + ".away")
        return "the store is not there any more"

    def come_back(self):
        if os.path.exists(self.path):
            assert not self.keys(""), "something was put where the store is not"
            shutil.rmtree(self.path)
        os.rename(self.path + ".away", self.path)

    def limit(self, mib):
        """So much fits in from now on. For the first time before anything is there."""
        if os.path.ismount(self.path):
            lab.shell("mount", "-o", "remount,size=%dm" % mib, self.path)
        else:
            self.world.tmpfs(self.path, "%dm" % mib)


class Bucket:
    """One of a radosgw of its own."""
    name = "a bucket"
    full = "QuotaExceeded"

    def __init__(self, world):
        lab.need("radosgw", "radosgw-admin", "ceph-mon", "ceph-osd", "curl")
        self.dir = world.path("ceph")
        world.servers.append(self)
        said = lab.shell(CEPH, "start", self.dir, env=os.environ)
        facts = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
        self.endpoint = facts["http_endpoint"]
        self.secrets = facts["access_key"] + ":" + facts["secret_key"]
        self._call("PUT", "")
        self.uri = "s3://lab/p"
        world.configure(s3__lab={
            "endpoint": self.endpoint, "bucket": "hamal", "access_key": facts["access_key"],
            "secret_key": facts["secret_key"], "request_timeout": "2s", "retry_max": "1s"})

    def _call(self, method, path, query="", content=None):
        command = ["curl", "-sS", "--fail", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", self.secrets, "-X", method,
                   "-H", "x-amz-content-sha256: " + hashlib.sha256(content or b"").hexdigest(),
                   "%s/hamal%s%s" % (self.endpoint, path and "/" + path, query and "?" + query)]
        if content is not None:
            command += ["--data-binary", "@-", "-H", "Content-Type: application/octet-stream"]
        done = subprocess.run(command, input=content, capture_output=True, timeout=lab.PATIENCE)
        assert done.returncode == 0, "%s %s: %s" % (method, path, done.stderr.decode())
        return done.stdout

    def keys(self, prefix):
        found, after = {}, ""
        while True:
            # In the order in which curl 7.88 has to be given them.
            query = [("list-type", "2"), ("prefix", "p/" + prefix)] + ([("start-after", after)] if after else [])
            text = urllib.parse.urlencode(query, quote_via=urllib.parse.quote, safe="")
            page = xml.etree.ElementTree.fromstring(self._call("GET", "", text))
            space = page.tag.split("}")[0] + "}" if "}" in page.tag else ""
            for item in page.iter(space + "Contents"):
                after = item.find(space + "Key").text
                found[after[2:]] = int(item.find(space + "Size").text)
            if page.find(space + "IsTruncated").text != "true":
                return found

    def read(self, key):
        return self._call("GET", "p/" + key)

    def write(self, key, content):
        self._call("PUT", "p/" + key, content=content)

    def delete(self, key):
        self._call("DELETE", "p/" + key)

    def go_away(self):
        lab.shell(CEPH, "rgw-down", self.dir)
        return self.uri

    def come_back(self):
        lab.shell(CEPH, "rgw-up", self.dir)

    def limit(self, mib):
        for command in (["set", "--max-size=%dM" % mib], ["enable"]):
            lab.shell("radosgw-admin", "-c", os.path.join(self.dir, "ceph.conf"), "-n", "client.rgw", "quota", command[0],
                      "--quota-scope=bucket", "--bucket=hamal", *command[1:])

    def stop(self):
        lab.shell(CEPH, "stop", self.dir)


KINDS = (Directory, Bucket)
