#!/usr/bin/env python3
"""The simulator does what tests of the platform build on: sim_test.py PROGRAM. Every case is one that would let a wrong
client pass if the simulator lost it."""
import concurrent.futures
import http.client
import pathlib
import re
import sys
import tempfile
import unittest

from sim import Client, Fault, Simulator

PROGRAM = ""
MIB = 1 << 20
SELECT = ('<selectSet xsi:type="TraversalSpec"><name>view</name><type>ContainerView</type><path>view</path><skip>false</skip>'
          "</selectSet>")


class World(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.sim = Simulator(PROGRAM, cls.directory.name, "--vm", "web01:8M,16M", "--vm", "off01:4M:off", "--more", "3")

    @classmethod
    def tearDownClass(cls):
        cls.sim.stop()
        cls.directory.cleanup()

    def setUp(self):
        self.sim.tell("settings", {})
        self.sim.tell("rules", [])
        self.sim.tell("log", {})
        self.client = Client(self.sim.endpoint)
        self.client.login()
        self.vm = self.machine()["id"]

    def tearDown(self):
        while self.machine()["busy"]:
            pass  # its snapshot is still to come
        for snapshot in self.machine()["snapshots"]:
            self.sim.tell("machine", {"vm": "web01", "do": "remove_snapshot", "name": snapshot["id"]})

    def machine(self, name="web01"):
        return self.sim.state()["machines"][name]

    def poke(self, offset, data, disk=0, name="web01"):
        with open(self.machine(name)["disks"][disk]["live"], "r+b") as file:
            file.seek(offset)
            file.write(data)

    def fault(self, kind, call, *arguments):
        with self.assertRaises(Fault) as caught:
            call(*arguments)
        self.assertEqual(caught.exception.kind, kind)


class Sessions(World):
    def test_nothing_without_a_session(self):
        stranger = Client(self.sim.endpoint)
        self.fault("NotAuthenticated", stranger.properties, "VirtualMachine", self.vm, "name")
        self.fault("InvalidLogin", stranger.login, "hamal@vsphere.local", "wrong")
        self.assertEqual(self.client.read("off01/off01-flat.vmdk", 0, 512, cookie=False)[0], 401)

    def test_a_session_expires(self):
        self.sim.tell("rules", [{"method": "RetrievePropertiesEx", "do": "expire", "times": 1}])
        self.fault("NotAuthenticated", self.client.properties, "VirtualMachine", self.vm, "name")
        self.client = Client(self.sim.endpoint)
        self.client.login()
        self.client.properties("VirtualMachine", self.vm, "name")

    def test_the_cookie_is_quoted_as_vcenter_has_it(self):
        self.assertRegex(self.client.cookie, r'^vmware_soap_session="[^"]+"$')


class Schema(World):
    def call(self, inner):
        return self.client.call(f'<CreateSnapshot_Task xmlns="urn:vim25"><_this type="VirtualMachine">{self.vm}</_this>{inner}</CreateSnapshot_Task>')

    def test_a_request_out_of_order_is_refused(self):
        for inner in ("<memory>false</memory><name>s</name><quiesce>false</quiesce>",  # order
                      "<name>s</name><memory>false</memory><quiesce>false</quiesce><extra>1</extra>",
                      "<name>s</name><quiesce>false</quiesce>",  # memory is missing
                      "<name>s</name><name>s</name><memory>false</memory><quiesce>false</quiesce>",
                      "<name>s</name><memory>maybe</memory><quiesce>false</quiesce>",
                      '<name xmlns="">s</name><memory>false</memory><quiesce>false</quiesce>'):
            with self.subTest(inner):
                self.fault("InvalidRequest", self.call, inner)
        self.assertEqual(len(self.sim.state()["violations"]), 6)
        self.assertEqual(self.machine()["snapshots"], [])

    def test_a_right_one_passes(self):
        self.client.wait(self.call("<name>s</name><memory>false</memory><quiesce>false</quiesce>"))
        self.assertEqual(self.sim.state()["violations"], [])


class Tasks(World):
    def test_they_take_their_time_and_one_machine_has_one(self):
        self.sim.tell("settings", {"task_delay_ms": 300})
        reply = self.client.create_snapshot(self.vm)
        self.fault("TaskInProgress", self.client.create_snapshot, self.vm)
        self.assertGreater(self.client.wait(reply)[0], 0)
        self.assertIn(re.search(r'type="Task">([^<]+)', reply)[1], self.client.properties("VirtualMachine", self.vm, "recentTask"))

    def test_a_task_fails_as_asked(self):
        self.sim.tell("rules", [{"method": "CreateSnapshot_Task", "do": "task:FileFault", "times": 1}])
        self.assertIn("FileFault", self.client.wait(self.client.create_snapshot(self.vm))[1])
        self.assertEqual(self.machine()["snapshots"], [])


class Changes(World):
    def test_a_snapshot_stays_and_changes_are_found(self):
        first, ids = self.client.snapshot(self.vm)
        self.assertEqual(ids, [], "tracking is off")
        self.fault("FileFault", self.client.changed, self.vm, first, 2000, "*", 8 * MIB)
        self.client.remove(first)
        self.client.track(self.vm)
        for i in range(4):
            self.poke(i * 2 * MIB, b"x" * 70000)
        first, ids = self.client.snapshot(self.vm)
        self.assertEqual(len(ids), 2)
        frozen = self.machine()["snapshots"][0]["frozen"]["2000"]
        before = pathlib.Path(frozen).read_bytes()
        self.poke(MIB, b"later")
        self.assertEqual(pathlib.Path(frozen).read_bytes(), before)
        self.assertIn("web01-000001.vmdk", self.client.properties("VirtualMachine", self.vm, "config.hardware.device"))
        self.sim.tell("settings", {"max_areas": 1})
        areas, calls = self.client.changed(self.vm, first, 2000, "*", 8 * MIB)
        self.assertEqual((areas, calls), ([(i * 2 * MIB, 131072) for i in range(4)], 4))
        self.client.remove(first)
        second, _ = self.client.snapshot(self.vm)
        self.assertEqual(self.client.changed(self.vm, second, 2000, ids[0], 8 * MIB)[0], [(MIB, 65536)])
        self.assertEqual(self.client.changed(self.vm, second, 2001, ids[1], 16 * MIB)[0], [])
        self.fault("InvalidArgument", self.client.changed, self.vm, second, 2000, ids[0], 8 * MIB + 1)
        self.sim.tell("machine", {"vm": "web01", "do": "reset_tracking"})
        third, fresh = self.client.snapshot(self.vm)
        self.assertNotEqual(fresh[0].partition("/")[0], ids[0].partition("/")[0])
        self.fault("FileFault", self.client.changed, self.vm, third, 2000, ids[0], 8 * MIB)

    def test_a_sparse_disk_of_three_tebibytes(self):
        self.client.track(self.vm)
        self.sim.tell("machine", {"vm": "web01", "do": "add_disk", "size": 3 << 40})
        key = self.machine()["disks"][-1]["key"]
        self.poke((5 << 39) + 512, b"far away", disk=-1)
        snapshot, _ = self.client.snapshot(self.vm)
        self.assertEqual(self.client.changed(self.vm, snapshot, key, "*", 3 << 40)[0], [(5 << 39, 65536)])

    def test_where_a_machine_is_reverted_old_ids_lie(self):
        self.client.track(self.vm)
        theirs, _ = self.client.snapshot(self.vm, "theirs")
        self.poke(0, b"x" * 65536)
        _, base = self.client.snapshot(self.vm, "base")
        self.poke(MIB, b"later")
        self.client.wait(self.client.call(f'<RevertToSnapshot_Task xmlns="urn:vim25"><_this type="VirtualMachineSnapshot">{theirs}</_this></RevertToSnapshot_Task>'))
        live = pathlib.Path(self.machine()["disks"][0]["live"])
        self.assertEqual(live.read_bytes(), pathlib.Path(self.machine()["snapshots"][0]["frozen"]["2000"]).read_bytes())
        _, again = self.client.snapshot(self.vm, "again")
        self.assertEqual(again, base, "the same ids for other contents")
        self.poke(2 * MIB, b"new")
        last, _ = self.client.snapshot(self.vm, "last")
        self.assertEqual(self.client.changed(self.vm, last, 2000, base[0], 8 * MIB)[0], [(2 * MIB, 65536)])
        collector = re.search(r'type="EventHistoryCollector">([^<]+)', self.client.call(
            '<CreateCollectorForEvents xmlns="urn:vim25"><_this type="EventManager">EventManager</_this><filter><entity>'
            f'<entity type="VirtualMachine">{self.vm}</entity><recursion>self</recursion></entity></filter></CreateCollectorForEvents>'))[1]
        events = self.client.call(f'<ReadNextEvents xmlns="urn:vim25"><_this type="EventHistoryCollector">{collector}</_this>'
                                  "<maxCount>1000</maxCount></ReadNextEvents>")
        self.assertIn("VmStateRevertedToSnapshot", events)
        self.assertIn("vm.Snapshot.revert", events)
        self.poke(3 * MIB, b"gone")
        self.client.wait(self.client.call(f'<RevertToCurrentSnapshot_Task xmlns="urn:vim25"><_this type="VirtualMachine">{self.vm}</_this></RevertToCurrentSnapshot_Task>'))
        self.assertEqual(live.read_bytes()[3 * MIB:3 * MIB + 4], bytes(4))

    def test_stale_trees_keep_the_children(self):
        self.sim.tell("machine", {"vm": "web01", "do": "snapshot", "name": "theirs"})
        mine, _ = self.client.snapshot(self.vm, "mine")
        self.sim.tell("machine", {"vm": "web01", "do": "snapshot", "name": "later"})
        self.client.remove(mine)
        self.assertEqual([one["name"] for one in self.machine()["snapshots"]], ["theirs", "later"])


class Connections(World):
    def test_a_reply_is_lost_and_the_snapshot_is_there(self):
        self.sim.tell("rules", [{"method": "CreateSnapshot_Task", "do": "cut_after", "times": 1}])
        with self.assertRaises((http.client.RemoteDisconnected, ConnectionError)):
            self.client.create_snapshot(self.vm)
        while not self.machine()["snapshots"]:
            pass
        self.sim.tell("rules", [{"method": "CreateSnapshot_Task", "do": "cut_before", "times": 1}])
        with self.assertRaises((http.client.RemoteDisconnected, ConnectionError)):
            self.client.create_snapshot(self.vm)
        self.assertEqual(len(self.machine()["snapshots"]), 1)

    def test_a_call_is_held_until_the_test_goes_on(self):
        self.sim.tell("rules", [{"method": "*", "skip": 1, "do": "hold_after", "times": 1}])
        self.client.properties("VirtualMachine", self.vm, "name")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            call = pool.submit(self.client.create_snapshot, self.vm)
            while self.sim.state()["held"] == 0:
                self.assertFalse(call.done())
            self.sim.tell("rules", [])
            self.assertIsInstance(call.exception(), (http.client.RemoteDisconnected, ConnectionError))


class Inventory(World):
    def pages(self):
        view = self.client.call('<CreateContainerView xmlns="urn:vim25"><_this type="ViewManager">ViewManager</_this>'
                                '<container type="Folder">group-d1</container><type>VirtualMachine</type><recursive>true</recursive></CreateContainerView>')
        view = re.search(r'type="ContainerView">([^<]+)', view)[1]
        reply = self.client.call('<RetrievePropertiesEx xmlns="urn:vim25"><_this type="PropertyCollector">propertyCollector</_this><specSet><propSet>'
                                 f'<type>VirtualMachine</type><pathSet>name</pathSet></propSet><objectSet><obj type="ContainerView">{view}</obj>'
                                 f"<skip>true</skip>{SELECT}</objectSet></specSet><options><maxObjects>2</maxObjects></options></RetrievePropertiesEx>")
        names, pages = [], 0
        while True:
            names, pages = names + re.findall(r"<val[^>]*>([^<]+)", reply), pages + 1
            token = re.search(r"<token>([^<]+)", reply)
            if not token:
                return names, pages
            reply = self.client.call('<ContinueRetrievePropertiesEx xmlns="urn:vim25"><_this type="PropertyCollector">propertyCollector</_this>'
                                     f"<token>{token[1]}</token></ContinueRetrievePropertiesEx>")

    def test_it_comes_in_pages(self):
        names, pages = self.pages()
        self.assertEqual((len(set(names)), pages), (5, 3))
        self.assertIn("web01", names)


class Folder(World):
    def test_ranges_of_the_oldest_state(self):
        self.poke(4096, b"old", name="off01")
        path = "off01/off01-flat.vmdk"
        self.assertEqual(self.client.read(path, 4096, 3), (206, b"old"))
        self.assertEqual(self.client.read(path, 4 * MIB, 3)[0], 416)
        self.assertEqual(self.client.read("off01/off01-000001.vmdk", 0, 3)[0], 404)
        self.assertEqual(self.client.read("web01/web01-flat.vmdk", 0, 3)[0], 500, "a running machine's disk is locked")
        self.sim.tell("machine", {"vm": "off01", "do": "snapshot", "name": "s"})
        self.poke(4096, b"new", name="off01")
        self.assertEqual(self.client.read(path, 4096, 3), (206, b"old"))


class Esx(unittest.TestCase):
    def test_a_single_host(self):
        with tempfile.TemporaryDirectory() as directory:
            sim = Simulator(PROGRAM, directory, "--esx", "--vm", "web01:4M")
            client = Client(sim.endpoint)
            content = client.call('<RetrieveServiceContent xmlns="urn:vim25"><_this type="ServiceInstance">ServiceInstance</_this></RetrieveServiceContent>')
            self.assertIn("<apiType>HostAgent</apiType>", content)
            self.assertEqual(list(sim.state()["machines"]), ["web01"])
            sim.stop()


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
