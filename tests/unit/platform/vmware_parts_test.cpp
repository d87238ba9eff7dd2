// The parts of the platform vmware that need no server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "hamal/platform/vmware/changed_areas.hpp"
#include "hamal/platform/vmware/folder_reader.hpp"
#include "hamal/platform/vmware/settings.hpp"
#include "hamal/platform/vmware/snapshots.hpp"
#include "hamal/platform/vmware/vddk_reader.hpp"
#include "hamal/util/error.hpp"

namespace hamal::vmware {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
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
  EXPECT_THAT(refusal({{"read_by", "nbd"}}), HasSubstr("nbd_uri"));
  EXPECT_THAT(refusal({{"user", ""}}), HasSubstr("user"));
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

// Break it: do not wait for a slot, or take one of another host.
TEST(VmwareVddk, AHostHasSoManySlotsAndFurtherDisksWait) {
  std::string name = (std::filesystem::temp_directory_path() / "hamal-slots-XXXXXX").string();
  ASSERT_NE(::mkdtemp(name.data()), nullptr);
  const CancelToken cancel;
  const FileLock first = take_host_slot(name, "host-1", 2, cancel);
  auto second = std::make_unique<FileLock>(take_host_slot(name, "host-1", 2, cancel));
  const FileLock other = take_host_slot(name, "host-2", 1, cancel);
  CancelToken stopped;
  std::thread stop([&] { stopped.request(15); });
  EXPECT_THROW(take_host_slot(name, "host-1", 2, stopped), Error);
  stop.join();
  second.reset();
  EXPECT_NO_THROW(take_host_slot(name, "host-1", 2, cancel));
  std::filesystem::remove_all(name);
}

}  // namespace
}  // namespace hamal::vmware
