// The parts of the platform vmware that need no server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <filesystem>

#include "hamal/platform/vmware/change_id.hpp"
#include "hamal/platform/vmware/changed_areas.hpp"
#include "hamal/platform/vmware/events.hpp"
#include "hamal/platform/vmware/folder_reader.hpp"
#include "hamal/platform/vmware/lineage.hpp"
#include "hamal/platform/vmware/settings.hpp"
#include "hamal/platform/vmware/snapshots.hpp"
#include "hamal/platform/vmware/vddk_reader.hpp"
#include "hamal/util/error.hpp"

namespace hamal::vmware {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr const char* k_thumbprint = "9C:86:0A:43:0D:0B:4A:E6:DA:1D:0E:4A:76:72:C1:85:7D:C1:36:20";

NamedSection section(std::map<std::string, std::string> more = {}) {
  NamedSection section;
  section.name = "site";
  section.origin = {"hamal.conf", 7};
  section.values = {{"type", "vmware"},
                    {"endpoint", "https://vcenter.example"},
                    {"user", "hamal@vsphere.local"},
                    {"secret", "env:HAMAL_SECRET"}};
  for (const auto& [key, value] : more) {
    section.values[key] = value;
  }
  return section;
}

std::string refusal(std::map<std::string, std::string> more) {
  try {
    read_settings("site", section(std::move(more)));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.what();
  }
  return "accepted";
}

TEST(VmwareSettings, TheAddressIsAHost) {
  for (const char* same : {"https://h:8443", "https://h:8443/", "https://h:8443/sdk"}) {
    EXPECT_EQ(read_settings("site", section({{"endpoint", same}})).endpoint.base, "https://h:8443");
  }
  for (const char* wrong :
       {"http://h", "h", "https://", "https://h/ui", "https://u@h", "https://h?x", "https://h h"}) {
    EXPECT_THAT(refusal({{"endpoint", wrong}}),
                AllOf(HasSubstr("hamal.conf:7"), HasSubstr("endpoint")))
        << wrong;
  }
}

TEST(VmwareSettings, ValuesAreChecked) {
  EXPECT_THAT(refusal({{"thumbprint", "AB:CD"}}), HasSubstr("thumbprint"));
  EXPECT_THAT(refusal({{"max_snapshots", "32"}}), HasSubstr("max_snapshots"));
  EXPECT_THAT(refusal({{"task_timeout", "soon"}}), HasSubstr("task_timeout"));
  EXPECT_THAT(refusal({{"vddk_connections_per_host", "0"}}), HasSubstr("connections"));
  EXPECT_THAT(refusal({{"vddk_connections", "53"}}), HasSubstr("vddk_connections"));
  EXPECT_THAT(refusal({{"vddk_wait", "0"}}), HasSubstr("vddk_wait"));
  EXPECT_THAT(refusal({{"read_by", "nbd"}}), HasSubstr("nbd_uri"));
  EXPECT_THAT(refusal({{"user", ""}}), HasSubstr("user"));
  EXPECT_THAT(refusal({{"max_sessions", "1"}}), HasSubstr("max_sessions"));
  EXPECT_THAT(refusal({{"datastore_min_free", "some"}}), HasSubstr("datastore_min_free"));
}

// Any export of the right size would be believed. Break it: leave out require_frozen().
TEST(VmwareSettings, AnNbdUriNamesTheSnapshotAndTheDiskOrTheOperatorVouchesForIt) {
  for (const char* any :
       {"nbd://h/web", "nbd://h/{disk}", "nbd://h/{snapshot}", "nbd://h/{vm}-{snapshot}"}) {
    EXPECT_THAT(refusal({{"read_by", "nbd"}, {"nbd_uri", any}}),
                AllOf(HasSubstr("nbd_uri"), HasSubstr("{snapshot} and {disk}"),
                      HasSubstr("nbd_uri_is_frozen")))
        << any;
    EXPECT_EQ(refusal({{"read_by", "nbd"}, {"nbd_uri", any}, {"nbd_uri_is_frozen", "True"}}),
              "accepted");
  }
  EXPECT_EQ(refusal({{"read_by", "nbd"}, {"nbd_uri", "nbd://h/{snapshot}/{disk}"}}), "accepted");
}

// Break it: encode once for a vCenter.
TEST(VmwareFolder, NamesAreEncodedOnceOrTwice) {
  const std::string file = "[store (1)] web 01/web 01_1.vmdk";
  EXPECT_EQ(folder_path(file, "DC 0/a", FolderEncoding::single),
            "/folder/web%2001/web%2001_1-flat.vmdk?dcPath=DC%200%2Fa&dsName=store%20%281%29");
  EXPECT_EQ(folder_path(file, "DC 0", FolderEncoding::twice),
            "/folder/web%2001/web%2001_1-flat.vmdk?dcPath=DC%25200&dsName=store%2520%25281%2529");
  for (const char* wrong : {"", "web/web.vmdk", "[store web/web.vmdk", "[store] web/web.iso"}) {
    EXPECT_THROW(folder_path(wrong, "DC", FolderEncoding::single), Error) << wrong;
  }
}

// Break it: any of the cases.
TEST(VmwareFolder, IsRightForBaseDisksOfVmsThatAreOffAlone) {
  Machine machine;
  machine.power = "poweredOff";
  machine.snapshots.resize(1);
  Disk disk;
  disk.backing = "VirtualDiskFlatVer2BackingInfo";
  disk.file = "[store] web/web-2024.vmdk";
  EXPECT_EQ(why_not_folder(machine, disk), "");
  Disk delta = disk;
  delta.file = "[store] web/web-000001.vmdk";
  EXPECT_THAT(why_not_folder(machine, delta), HasSubstr("base"));
  Disk other = disk;
  other.backing = "VirtualDiskSeSparseBackingInfo";
  EXPECT_THAT(why_not_folder(machine, other), HasSubstr("SeSparse"));
  Disk sealed = disk;
  sealed.encrypted = true;
  EXPECT_THAT(why_not_folder(machine, sealed), HasSubstr("encrypted"));
  for (const char* power : {"poweredOn", "suspended", ""}) {
    machine.power = power;
    EXPECT_THAT(why_not_folder(machine, disk), HasSubstr("not powered off")) << power;
  }
}

TEST(VmwareSnapshots, OursAreKnownByNameOrDescription) {
  const std::string id = new_snapshot_id("0123abcd");
  EXPECT_TRUE(is_of(id, "0123abcd"));
  EXPECT_FALSE(is_of(id, "ffffffff"));
  EXPECT_NE(id, new_snapshot_id("0123abcd"));
  EXPECT_EQ(hamal_id({.object = {}, .name = id, .description = {}, .created = {}}), id);
  EXPECT_EQ(hamal_id({.object = {}, .name = "renamed", .description = id + " made", .created = {}}),
            id);
  for (const char* theirs : {"", "hamal", "hamal-0123abcd-", "hamal-0123abcd-0123456789abcdeg",
                             "hamal-0123ABCD-0123456789abcdef"}) {
    EXPECT_EQ(hamal_id({.object = {}, .name = theirs, .description = theirs, .created = {}}), "")
        << theirs;
  }
}

TEST(VmwareChanges, IdsOfOneEpochAreCompared) {
  EXPECT_EQ(why_not_comparable("52 de/3", "52 de/3"), "");
  EXPECT_EQ(why_not_comparable("52 de/9", "52 de/10"), "");
  EXPECT_THAT(why_not_comparable("52 de/3", "53 de/4"), HasSubstr("reset"));
  EXPECT_THAT(why_not_comparable("52 de/10", "52 de/9"), HasSubstr("reverted"));
  for (const char* wrong : {"", "*", "52 de", "52 de/", "52 de/x", "bitmap:b"}) {
    EXPECT_THAT(why_not_comparable(wrong, "52 de/4"), HasSubstr("no change id")) << wrong;
  }
}

// Break it: accept a word that is missing, twice or unknown.
TEST(VmwareChangeIds, AreOfASnapshotAndAMoment) {
  const ChangeId id{.tracked = "52 de/3",
                    .vm = "vm-36",
                    .snapshot = "snapshot-7",
                    .created = "2026-11-30T17:05:33.1Z",
                    .on = "snapshot-5",
                    .others = 2,
                    .before = {.key = 4711, .at = "2026-11-30T17:05:30Z"}};
  const std::string text = to_string(id);
  const auto read = parse_change_id(text);
  ASSERT_TRUE(read);
  EXPECT_EQ(to_string(*read), text);
  EXPECT_EQ(read->tracked, id.tracked);
  EXPECT_EQ(read->on, id.on);
  EXPECT_EQ(read->others, 2U);
  EXPECT_EQ(read->before.key, 4711);
  EXPECT_TRUE(same_moment(id, *read));
  ChangeId other = id;
  other.created = "2026-11-30T17:05:34Z";
  EXPECT_FALSE(same_moment(id, other));
  other = id;
  other.snapshot = "a;b";
  EXPECT_EQ(to_string(other), "");
  for (const std::string& wrong :
       {std::string(), std::string("*"), std::string("52 de/3"), text + ";more=1",
        text + ";vm=vm-1", text.substr(text.find(';')), text.substr(0, text.rfind(';')), text + ";",
        std::string("52 de/3;vm=;snapshot=s;created=c;on=;others=0;event=0;event_at="),
        std::string("52 de/3;vm=v;snapshot=s;created=c;on=;others=-1;event=0;event_at=")}) {
    EXPECT_FALSE(parse_change_id(wrong)) << wrong;
  }
}

/// A tree of snapshots, each {object, parent, time}; the vm is "vm-1".
Machine with_tree(const std::vector<std::array<std::string, 3>>& tree) {
  Machine machine;
  machine.object = {"VirtualMachine", "vm-1"};
  for (const auto& [object, parent, time] : tree) {
    machine.snapshots.push_back({.object = {"VirtualMachineSnapshot", object},
                                 .name = object,
                                 .description = {},
                                 .created = "2026-11-30T" + time + "Z",
                                 .parent = parent});
  }
  return machine;
}

std::string revert_of(const std::vector<std::array<std::string, 3>>& tree, const std::string& base,
                      const std::string& on) {
  const Machine machine = with_tree(tree);
  return why_not_descended(machine, machine.snapshots.back(),
                           {.tracked = "52 de/3",
                            .vm = "vm-1",
                            .snapshot = base,
                            .created = "2026-11-30T12:00:00Z",
                            .on = on,
                            .others = 0,
                            .before = {}});
}

// Break it: any of the returns of why_not_descended(). The base is of 12:00.
TEST(VmwareLineage, ASnapshotDescendsFromItsBase) {
  const std::string now = "13:00:00";
  EXPECT_EQ(revert_of({{"n", "", now}}, "b", ""), "");
  EXPECT_EQ(revert_of({{"n", "", now}}, "b", "gone"), "");
  EXPECT_EQ(revert_of({{"later", "", "12:30:00"}, {"n", "later", now}}, "b", ""), "");
  EXPECT_EQ(revert_of({{"p", "", "11:00:00"}, {"n", "p", now}}, "b", "p"), "");
  EXPECT_EQ(revert_of({{"b", "", "12:00:00"}, {"n", "b", now}}, "b", ""), "");
  EXPECT_EQ(
      revert_of({{"p", "", "10:00:00"}, {"q", "p", "11:00:00"}, {"n", "q", now}}, "b", "gone"), "");
}

TEST(VmwareLineage, OneThatDoesNotIsOfAnotherBranch) {
  const std::string now = "13:00:00";
  EXPECT_THAT(revert_of({{"old", "", "11:00:00"}, {"n", "old", now}}, "b", ""),
              HasSubstr("\"old\""));
  EXPECT_THAT(revert_of({{"p", "", "11:00:00"}, {"n", "", now}}, "b", "p"),
              HasSubstr("no ancestor"));
  EXPECT_THAT(revert_of({{"b", "", "12:00:00"}, {"n", "", now}}, "b", ""),
              HasSubstr("no ancestor"));
  EXPECT_THAT(revert_of({{"p", "", "10:00:00"}, {"q", "p", "11:00:00"}, {"n", "q", now}}, "b", "p"),
              HasSubstr("\"q\""));
  EXPECT_THAT(revert_of({{"b", "", "12:00:01"}, {"n", "b", now}}, "b", ""),
              HasSubstr("another one now"));
  // A loop that no server has ends.
  EXPECT_EQ(revert_of({{"x", "n", "12:30:00"}, {"n", "x", now}}, "b", ""), "");
}

// Break it: leave the descriptionId out, or take a failed revert for one.
TEST(VmwareEvents, RevertsAreKnownByTypeAndTask) {
  XmlElement event{.name = "returnval",
                   .space = {},
                   .type = "EventEx",
                   .object_type = {},
                   .text = {},
                   .children = {}};
  const auto with = [&event](const std::string& name, const std::string& text) {
    XmlElement one = event;
    one.children = {
        {.name = name, .space = {}, .type = {}, .object_type = {}, .text = text, .children = {}}};
    return one;
  };
  EXPECT_TRUE(tells_of_revert(with("eventTypeId", "com.vmware.vc.vm.VmStateRevertedToSnapshot")));
  EXPECT_FALSE(
      tells_of_revert(with("eventTypeId", "com.vmware.vc.vm.VmStateFailedToRevertToSnapshot")));
  EXPECT_FALSE(tells_of_revert(with("message", "reverted")));
  event.type = "TaskEvent";
  for (const char* task : {"vm.Snapshot.revert", "VirtualMachine.revertToCurrentSnapshot"}) {
    XmlElement one = event;
    one.children = {with("descriptionId", task)};
    one.children[0].name = "info";
    EXPECT_TRUE(tells_of_revert(one)) << task;
  }
}

XmlElement element(const std::string& name, const std::string& text,
                   std::vector<XmlElement> children = {}, const std::string& type = {}) {
  return {.name = name,
          .space = {},
          .type = type,
          .object_type = {},
          .text = text,
          .children = std::move(children)};
}

// Break it: leave the controllers out of disks_of(), or the bus out of why_unprotectable().
TEST(VmwareMachine, DisksOnASharedBusCannotBeProtected) {
  const auto devices = [](const char* sharing) {
    return element(
        "val", "",
        {element("VirtualDevice", "", {element("key", "1000"), element("sharedBus", sharing)},
                 "ParaVirtualSCSIController"),
         element("VirtualDevice", "",
                 {element("key", "2000"), element("controllerKey", "1000"),
                  element("capacityInKB", "1024"),
                  element("backing", "",
                          {element("fileName", "[a] b/c.vmdk"), element("uuid", "6000"),
                           element("parent", "", {element("fileName", "[a] t/t.vmdk")})},
                          "VirtualDiskFlatVer2BackingInfo")},
                 "VirtualDisk")});
  };
  const auto disks = disks_of(devices("physicalSharing"));
  ASSERT_EQ(disks.size(), 1U);
  EXPECT_TRUE(disks[0].has_parent);
  EXPECT_EQ(disks[0].uuid, "6000");
  EXPECT_THAT(why_unprotectable({}, disks[0]), HasSubstr("physicalSharing"));
  EXPECT_EQ(why_unprotectable({}, disks_of(devices("noSharing"))[0]), "");
}

// Break it: give every snapshot the root as its parent.
TEST(VmwareMachine, SnapshotsKnowWhatTheyWereMadeOn) {
  const auto tree = [](const char* name, const std::string& object, std::vector<XmlElement> below) {
    std::vector<XmlElement> children{element("snapshot", object), element("name", object)};
    children.insert(children.end(), below.begin(), below.end());
    return element(name, "", std::move(children));
  };
  const XmlElement third = tree("childSnapshotList", "s-3", {});
  const XmlElement second = tree("childSnapshotList", "s-2", {third});
  const XmlElement other = tree("childSnapshotList", "s-4", {});
  ObjectProperties properties;
  properties.values["snapshot"] =
      element("val", "", {tree("rootSnapshotList", "s-1", {second, other})});
  std::vector<std::string> seen;
  for (const Snapshot& one : machine_of(properties).snapshots) {
    seen.push_back(one.object.id + " on " + one.parent);
  }
  EXPECT_THAT(seen, ElementsAre("s-1 on ", "s-2 on s-1", "s-3 on s-2", "s-4 on s-1"));
}

// Break it: put the secret among them.
TEST(VmwareVddk, ParametersNameTheFrozenDiskAndNoSecret) {
  const Settings settings =
      read_settings("site", section({{"endpoint", "https://vcenter.example:8443"},
                                     {"thumbprint", k_thumbprint},
                                     {"vddk_libdir", "/opt/vddk"}}));
  Machine machine;
  machine.object = {"VirtualMachine", "vm-36"};
  Disk disk;
  disk.file = "[store] web/web.vmdk";
  const auto parameters =
      vddk_parameters(settings, machine, {"VirtualMachineSnapshot", "snapshot-7"}, disk);
  for (const char* one : {"server=vcenter.example", "port=8443", "user=hamal@vsphere.local",
                          "vm=moref=vm-36", "snapshot=snapshot-7", "file=[store] web/web.vmdk",
                          "libdir=/opt/vddk", "transports=file:nbdssl:nbd"}) {
    EXPECT_THAT(parameters, Contains(one));
  }
  EXPECT_THAT(parameters, Contains(std::string("thumbprint=") + k_thumbprint));
  EXPECT_THAT(parameters, Not(Contains(StartsWith("password"))));
  EXPECT_THROW(vddk_parameters(read_settings("site", section()), machine, {}, disk), Error);
}

}  // namespace
}  // namespace hamal::vmware
