// Replies of real services (Keystone 22, Cinder 21, Nova 26), shortened, and what is none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hamal/platform/openstack/catalog.hpp"
#include "hamal/platform/openstack/machine.hpp"
#include "hamal/platform/openstack/replies.hpp"
#include "hamal/platform/openstack/volume_snapshots.hpp"

namespace hamal::openstack {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string k_token =
    R"({"token": {"methods": ["password"], "user": {"id": "9ce4", "name": "backup",
    "password_expires_at": null}, "project": {"id": "8137", "name": "demo"}, "is_domain": false,
    "roles": [{"id": "839f", "name": "member"}, {"id": "f34a", "name": "reader"}], "catalog": [
    {"endpoints": [{"interface": "public", "region_id": "One", "url": "http://h:1/v3/8137/",
    "region": "One"}, {"interface": "internal", "region_id": "One", "url": "http://i:1/v3/8137",
    "region": "One"}], "type": "volumev3", "name": "cinderv3"}, {"endpoints": [{"interface":
    "public", "region_id": "One", "url": "http://h:2/v2.1"}, {"interface": "public", "region_id":
    "Two", "url": "http://h2:2/v2.1"}], "type": "compute"}]}})";

const std::string k_volumes =
    R"({"volumes": [{"id": "v-b", "status": "in-use", "size": 2, "name": "data", "volume_type":
    "ssd", "bootable": "false", "encrypted": false, "multiattach": false, "attachments": [
    {"attachment_id": "a", "volume_id": "v-b", "server_id": "s-1", "host_name": null, "device":
    "/dev/vdaa"}]}, {"id": "v-a", "status": "in-use", "size": 1, "name": null, "volume_type":
    "ssd", "bootable": "true", "encrypted": true, "multiattach": true, "volume_image_metadata":
    {"image_name": "debian-12"}, "attachments": [{"server_id": "s-1", "device": "/dev/vdb"}]}],
    "volumes_links": [{"rel": "next", "href":
    "http://elsewhere/v3/8137/volumes/detail?limit=2&marker=v-a"}]})";

const std::string k_attachments =
    R"({"attachments": [{"id": "a", "status": "attached", "instance": "s-1", "volume_id": "v-b",
    "connection_info": {"name": "volumes/volume-v-b", "hosts": ["127.0.0.1"], "ports": ["34500"],
    "auth_username": "cinder", "secret_uuid": "613e", "driver_volume_type": "rbd"}}, {"id": "b",
    "instance": "s-1", "volume_id": "v-c", "connection_info": {"driver_volume_type": "iscsi"}},
    {"id": "c", "instance": null, "volume_id": "v-d", "connection_info": {}}]})";

const std::string k_server =
    R"({"server": {"id": "s-1", "name": "web", "status": "ACTIVE", "image": "", "flavor": {"vcpus":
    1, "ram": 64, "disk": 5, "ephemeral": 0, "swap": 0, "original_name": "m1"},
    "OS-EXT-STS:task_state": null, "OS-EXT-STS:power_state": 1,
    "os-extended-volumes:volumes_attached": [{"id": "v-b"}, {"id": "v-a"}, {"id": "v-z"}]}})";

template <typename Call>
std::string refusal(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "taken";
}

TEST(OpenStackCatalog, AServiceIsFoundByRegionAndInterface) {
  const Token token = parse_token(k_token, "cloud");
  EXPECT_EQ(token.project_id, "8137");
  EXPECT_THAT(token.roles, ElementsAre("member", "reader"));
  EXPECT_EQ(find_endpoint(token, Service::volume, "", "public", "cloud"), "http://h:1/v3/8137");
  EXPECT_EQ(find_endpoint(token, Service::volume, "One", "internal", "cloud"),
            "http://i:1/v3/8137");
  EXPECT_EQ(find_endpoint(token, Service::compute, "Two", "public", "cloud"), "http://h2:2/v2.1");
}

// Break it: take the first endpoint of a service whatever its region.
TEST(OpenStackCatalog, WhatIsNotThereIsSaidWithWhatIs) {
  const Token token = parse_token(k_token, "cloud");
  const auto look = [&](Service service, const char* region, const char* interface) {
    return refusal([&] { find_endpoint(token, service, region, interface, "cloud"); });
  };
  EXPECT_THAT(look(Service::compute, "", "public"), HasSubstr("set region to one of One, Two"));
  EXPECT_THAT(look(Service::compute, "Three", "public"), HasSubstr("has it in One, Two"));
  EXPECT_THAT(look(Service::volume, "", "admin"), HasSubstr("one of internal, public"));
  EXPECT_THAT(look(Service::image, "", "public"),
              HasSubstr("the catalog has no Glance (a service of type image)"));
  EXPECT_THAT(look(Service::image, "", "public"), HasSubstr("sees the services compute, volumev3"));
}

TEST(OpenStackReplies, VolumesAndWhereTheNextPageIs) {
  const auto page = parse_volumes(k_volumes, "list");
  // The address is the service's own idea of itself: only what asks for the page counts.
  EXPECT_EQ(page.next, "limit=2&marker=v-a");
  ASSERT_EQ(page.items.size(), 2U);
  EXPECT_EQ(page.items[0].size, 2ULL << 30U);
  EXPECT_FALSE(page.items[0].bootable);
  EXPECT_TRUE(page.items[1].bootable && page.items[1].encrypted && page.items[1].multiattach);
  EXPECT_EQ(page.items[1].image, "debian-12");
  EXPECT_EQ(page.items[1].name, "");
}

TEST(OpenStackReplies, AnAttachmentTellsTheImage) {
  const auto all = parse_attachments(k_attachments, "list").items;
  ASSERT_EQ(all.size(), 3U);
  ASSERT_TRUE(all[0].connection.has_value());
  EXPECT_EQ(all[0].connection->pool + "|" + all[0].connection->space + "|" +
                all[0].connection->image + "|" + all[0].connection->secret,
            "volumes||volume-v-b|613e");
  EXPECT_EQ(all[1].connection->driver, "iscsi");
  EXPECT_FALSE(all[2].connection.has_value());
  const auto named = [](const std::string& name) {
    return R"({"attachments": [{"id": "a", "volume_id": "v", "connection_info": {"driver_volume_type": "rbd",
      "name": ")" +
           name + "\"}}]}";
  };
  EXPECT_EQ(parse_attachments(named("p/space/image"), "list").items[0].connection->space, "space");
  EXPECT_THAT(refusal([&] { parse_attachments(named("image"), "list"); }),
              HasSubstr("names no image of a pool"));
}

TEST(OpenStackReplies, SizesThatCannotBeAreRefused) {
  for (const char* size : {"-1", "8589934592", "1.5", "\"1\"", "18446744073709551615"}) {
    const std::string body = std::string(R"({"volumes": [{"id": "v", "size": )") + size + "}]}";
    EXPECT_NE(refusal([&] { parse_volumes(body, "list"); }), "taken") << size;
  }
  EXPECT_NE(refusal([] { parse_volumes("{}", "list"); }), "taken");
  EXPECT_NE(refusal([] { parse_volumes("<html>", "list"); }), "taken");
}

TEST(OpenStackReplies, QuotasMessagesAndRefusals) {
  const Quotas quotas = parse_quotas(
      R"({"limits": {"rate": [], "absolute": {"maxTotalSnapshots": 10, "totalSnapshotsUsed": 4,
      "maxTotalVolumeGigabytes": -1, "totalGigabytesUsed": 3}}})",
      "limits");
  EXPECT_EQ(quotas.snapshots.limit - quotas.snapshots.used, 6);
  EXPECT_EQ(quotas.gigabytes.limit, -1);
  EXPECT_EQ(parse_message(R"({"messages": [{"created_at": "2026-11-30T17:00:00", "user_message":
      "old"}, {"created_at": "2026-11-30T18:00:00", "user_message": "new\nline"}]})",
                          "messages"),
            "new\\nline");
  EXPECT_EQ(refusal_words(R"({"itemNotFound": {"code": 404, "message": "Volume x"}})"), "Volume x");
  EXPECT_EQ(refusal_words(R"({"error": {"code": 401, "message": "no"}})"), "no");
  EXPECT_EQ(refusal_words("<html>"), "");
  EXPECT_EQ(newest_microversion(R"({"computeFault": {"code": 406, "message": "Version 3.999 is not
      supported by the API. Minimum is 3.0 and maximum is 3.70."}})"),
            "3.70");
  EXPECT_EQ(newest_microversion("maximum is latest"), std::nullopt);
  EXPECT_TRUE(is_older_microversion("3.9", "3.27"));
  EXPECT_FALSE(is_older_microversion("3.27", "3.27"));
}

// Break it: compare devices as texts, and vdaa comes before vdb.
TEST(OpenStackMachine, DisksAreInTheOrderOfTheirDevices) {
  const Machine machine =
      machine_of(parse_server(k_server, "server"), parse_volumes(k_volumes, "list").items,
                 parse_attachments(k_attachments, "list").items);
  ASSERT_EQ(machine.disks.size(), 3U);
  EXPECT_EQ(machine.disks[0].id, "v-a");
  EXPECT_EQ(machine.disks[1].id, "v-b");
  EXPECT_EQ(machine.disks[2].id, "v-z");
  Settings settings;
  settings.platform = "cloud";
  const Vm vm = describe(machine, settings);
  EXPECT_EQ(vm.power, "running");
  EXPECT_EQ(vm.disks[0].reason,
            "Cinder does not say in which pool the volume is; set pool.ssd or "
            "pool.DEFAULT_VOLUME_TYPE");
  EXPECT_EQ(vm.disks[1].reason, "image volumes/volume-v-b");
  EXPECT_TRUE(vm.disks[1].protectable);
  EXPECT_EQ(vm.disks[2].reason, "Cinder does not show this volume to the user");
  settings.pools["ssd"] = {.cluster = {}, .pool = "fast"};
  EXPECT_TRUE(describe(machine, settings).disks[0].protectable);
}

TEST(OpenStackMachine, WhyADiskCannotBeProtected) {
  Machine machine;
  machine.server.id = "s-1";
  machine.server.status = "ACTIVE";
  Disk disk;
  disk.id = "v-1";
  disk.volume = Volume{};
  disk.volume->status = "in-use";
  disk.connection = VolumeConnection{};
  disk.connection->driver = "rbd";
  Settings settings;
  const auto why = [&] { return why_unprotectable(machine, disk, settings); };
  EXPECT_EQ(why(), "");
  disk.volume->status = "error_extending";
  EXPECT_EQ(why(), "the volume is error_extending");
  disk.volume->status = "available";
  disk.volume->migration = "migrating";
  EXPECT_EQ(why(), "the volume is being migrated");
  disk.volume->migration = "success";
  disk.shared = true;
  EXPECT_EQ(why(), "several servers write to the volume");
  disk.shared = false;
  disk.connection->driver = "iscsi";
  EXPECT_THAT(why(), HasSubstr("not in Ceph"));
  disk.kind = DiskKind::nova;
  EXPECT_THAT(why(), HasSubstr("set pool.CEPH_GLANCE_VMS"));
  settings.pools[k_nova_disks] = {.cluster = {}, .pool = "vms"};
  EXPECT_EQ(why(), "");
  machine.server.status = "SHELVED_OFFLOADED";
  EXPECT_THAT(why(), HasSubstr("SHELVED_OFFLOADED"));
  machine.server.status = "BUILD";
  EXPECT_EQ(why(), "the server is BUILD");
}

TEST(OpenStackMachine, AServerFromAnImageHasDisksOfNova) {
  const Server server = parse_server(
      R"({"server": {"id": "s", "name": "n", "status": "ACTIVE", "image": {"id": "i"}, "flavor":
      {"disk": 5, "ephemeral": 2, "swap": ""}}})",
      "server");
  const Machine machine = machine_of(server, {}, {});
  ASSERT_EQ(machine.disks.size(), 2U);
  EXPECT_EQ(machine.disks[0].id, "disk");
  EXPECT_EQ(machine.disks[0].size, 5ULL << 30U);
  EXPECT_EQ(machine.disks[1].id, "disk.eph0");
}

TEST(OpenStackReplies, NamesInCephAreCindersIds) {
  EXPECT_EQ(rbd_name_of("58c6"), "snapshot-58c6");
  EXPECT_EQ(volume_snapshot_of("snapshot-58c6"), "58c6");
  EXPECT_EQ(volume_snapshot_of("hamal-b692c789-20261130T172229Z-17ab585e"), "");
}

}  // namespace
}  // namespace hamal::openstack
