#!/usr/bin/env python3
"""A running simulator: started, told and asked by tests.

  sim.py tell ENDPOINT PATH JSON       PUT to the control endpoint (control.go)
  sim.py ask ENDPOINT EXPRESSION       prints an expression of its state, d
"""
import json
import pathlib
import re
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
import xml.sax.saxutils

HERE = pathlib.Path(__file__).resolve().parent
UNVERIFIED = ssl._create_unverified_context()  # the tests of TLS are the client's
USER = "hamal@vsphere.local"
PASSWORD = "secret & <more>"


def control(endpoint, method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{endpoint}/_ctl/{path}", data, method=method)
    try:
        with urllib.request.urlopen(request, context=UNVERIFIED, timeout=60) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{path}: {error.code} {error.read().decode()}") from None


class Simulator:
    def __init__(self, program, directory, *arguments):
        self.process = subprocess.Popen([program, "--dir", directory, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        said = {}
        for line in self.process.stdout:
            if line == "ready\n":
                break
            key, _, value = line.rstrip("\n").partition("=")
            said[key] = value
        else:
            raise RuntimeError("the simulator did not start")
        self.endpoint, self.thumbprint = said["endpoint"], said["thumbprint"]

    def stop(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()

    def tell(self, path, body):
        return control(self.endpoint, "PUT", path, body)

    def state(self):
        return control(self.endpoint, "GET", "state")


class Fault(Exception):
    def __init__(self, text):
        super().__init__(text)
        self.kind = (re.search(r"<(\w+)Fault[ >]", text.partition("<detail>")[2]) or ["", "?"])[1]


class Client:
    """Just enough of vSphere's SOAP for the simulator's own test; Hamal has its own."""

    def __init__(self, endpoint):
        self.endpoint, self.cookie = endpoint, None

    def call(self, body):
        envelope = ('<?xml version="1.0" encoding="UTF-8"?><e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" '
                    f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><e:Body>{body}</e:Body></e:Envelope>')
        headers = {"Content-Type": "text/xml", "SOAPAction": "urn:vim25/6.7"}
        if self.cookie:
            headers["Cookie"] = self.cookie
        request = urllib.request.Request(self.endpoint + "/sdk", envelope.encode(), headers)
        try:
            with urllib.request.urlopen(request, context=UNVERIFIED, timeout=60) as reply:
                if reply.headers.get("Set-Cookie"):
                    self.cookie = reply.headers["Set-Cookie"].split(";")[0]
                return reply.read().decode()
        except urllib.error.HTTPError as error:
            raise Fault(error.read().decode()) from None

    def login(self, user=USER, password=PASSWORD):
        return self.call('<Login xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this>'
                         f"<userName>{user}</userName><password>{xml.sax.saxutils.escape(password)}</password></Login>")

    def properties(self, kind, moref, *paths):
        wanted = "".join(f"<pathSet>{path}</pathSet>" for path in paths)
        return self.call('<RetrievePropertiesEx xmlns="urn:vim25"><_this type="PropertyCollector">propertyCollector</_this><specSet>'
                         f"<propSet><type>{kind}</type>{wanted}</propSet><objectSet><obj type=\"{kind}\">{moref}</obj></objectSet>"
                         "</specSet><options/></RetrievePropertiesEx>")

    def wait(self, reply):
        """Of a call that started a task: how often it had to be asked for, and its end."""
        task = re.search(r'type="Task">([^<]+)', reply)[1]
        for asked in range(10000):
            info = self.properties("Task", task, "info.state", "info.error", "info.result")
            if ">success<" in info or ">error<" in info:
                return asked, info
        raise RuntimeError("the task never ends")

    def create_snapshot(self, vm, name="s", quiesce="false"):
        return self.call(f'<CreateSnapshot_Task xmlns="urn:vim25"><_this type="VirtualMachine">{vm}</_this><name>{name}</name>'
                         f"<memory>false</memory><quiesce>{quiesce}</quiesce></CreateSnapshot_Task>")

    def snapshot(self, vm, name="s"):
        reply = self.create_snapshot(vm, name)
        self.wait(reply)
        # The simulator sets a task's state a moment before its result: one that has ended is asked again.
        task = re.search(r'type="Task">([^<]+)', reply)[1]
        moref = re.search(r'type="VirtualMachineSnapshot">([^<]+)', self.properties("Task", task, "info.result"))[1]
        hardware = self.properties("VirtualMachineSnapshot", moref, "config.hardware.device")
        return moref, re.findall(r"<changeId>([^<]+)", hardware)

    def remove(self, snapshot):
        return self.wait(self.call(f'<RemoveSnapshot_Task xmlns="urn:vim25"><_this type="VirtualMachineSnapshot">{snapshot}</_this>'
                                   "<removeChildren>false</removeChildren><consolidate>true</consolidate></RemoveSnapshot_Task>"))

    def track(self, vm):
        return self.wait(self.call(f'<ReconfigVM_Task xmlns="urn:vim25"><_this type="VirtualMachine">{vm}</_this><spec>'
                                   "<changeTrackingEnabled>true</changeTrackingEnabled></spec></ReconfigVM_Task>"))

    def changed(self, vm, snapshot, key, change_id, size):
        """All changed areas, and how many calls they took."""
        areas, calls, at = [], 0, 0
        while at < size:
            reply = self.call(f'<QueryChangedDiskAreas xmlns="urn:vim25"><_this type="VirtualMachine">{vm}</_this>'
                              f'<snapshot type="VirtualMachineSnapshot">{snapshot}</snapshot><deviceKey>{key}</deviceKey>'
                              f"<startOffset>{at}</startOffset><changeId>{change_id}</changeId></QueryChangedDiskAreas>")
            reply, calls = reply[reply.index("<returnval>"):], calls + 1
            areas += [(int(a), int(b)) for a, b in re.findall(r"<changedArea><start>(\d+)</start><length>(\d+)", reply)]
            at = int(re.search(r"<startOffset>(\d+)", reply)[1]) + int(re.search(r"</startOffset><length>(\d+)", reply)[1])
        return areas, calls

    def read(self, path, offset, length, cookie=True):
        headers = {"Range": f"bytes={offset}-{offset + length - 1}"}
        if cookie:
            headers["Cookie"] = self.cookie
        request = urllib.request.Request(f"{self.endpoint}/folder/{path}?dcPath=DC0&dsName=LocalDS_0", headers=headers)
        try:
            with urllib.request.urlopen(request, context=UNVERIFIED, timeout=60) as reply:
                return reply.status, reply.read()
        except urllib.error.HTTPError as error:
            return error.code, b""


def main():
    verb, endpoint, *rest = sys.argv[1:]
    if verb == "tell":
        control(endpoint, "PUT", rest[0], json.loads(rest[1]))
    elif verb == "ask":
        print(eval(rest[0], {"d": control(endpoint, "GET", "state")}))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
