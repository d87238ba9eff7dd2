// Disks in a block graph: which can be frozen, and why not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hamal/platform/qemu/inventory.hpp"
#include "hamal/platform/qemu/machine_view.hpp"

namespace hamal::qemu {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// Describes a graph as QEMU would.
class Machine {
 public:
  Machine& node(const std::string& name, const std::string& driver, std::uint64_t size = 1 << 20) {
    m_nodes.push_back({{"node-name", name},
                       {"drv", driver},
                       {"file", "/disks/" + name},
                       {"ro", false},
                       {"detect_zeroes", "off"},
                       {"image", {{"virtual-size", size}}}});
    m_vertices.push_back({{"id", id(name)}, {"name", name}, {"type", "block-driver"}});
    return *this;
  }
  Machine& read_only() {
    m_nodes.back()["ro"] = true;
    return *this;
  }
  Machine& bitmap(const Json& description) {
    m_nodes.back()["dirty-bitmaps"].push_back(description);
    return *this;
  }
  Machine& on(const std::string& parent, const std::string& child,
              const std::string& role = "file") {
    m_edges.push_back(
        {{"parent", id(parent)}, {"child", id(child)}, {"name", role}, {"perm", Json::array()}});
    return *this;
  }
  Machine& device(const std::string& qdev, const std::string& node, const std::string& name = "") {
    user(qdev, node, "write");
    m_block.push_back({{"device", name}, {"qdev", qdev}, {"inserted", {{"node-name", node}}}});
    return *this;
  }
  Machine& empty_drive(const std::string& qdev) {
    m_block.push_back({{"device", ""}, {"qdev", qdev}});
    return *this;
  }
  Machine& exported(const std::string& name, const std::string& node,
                    const std::string& permission = "write") {
    user("", node, permission);
    m_exports.push_back({{"id", name}, {"node-name", node}, {"type", "nbd"}});
    return *this;
  }
  BlockGraph graph() const {
    // Through text, as it comes from QEMU: a parsed positive number is an unsigned one.
    return {Json::parse(m_nodes.dump()),
            Json::parse(Json{{"nodes", m_vertices}, {"edges", m_edges}}.dump()), "test"};
  }
  std::vector<QemuDisk> disks() const { return find_disks(graph(), m_block, m_exports, "test"); }

 private:
  static std::uint64_t id(const std::string& name) { return std::hash<std::string>{}(name) >> 1U; }
  void user(const std::string& backend, const std::string& node, const std::string& permission) {
    const std::string name = "user of " + node;
    m_vertices.push_back({{"id", id(name)}, {"name", backend}, {"type", "block-backend"}});
    m_edges.push_back({{"parent", id(name)},
                       {"child", id(node)},
                       {"name", "root"},
                       {"perm", {"consistent-read", permission}}});
  }
  Json m_nodes = Json::array();
  Json m_vertices = Json::array();
  Json m_edges = Json::array();
  Json m_block = Json::array();
  Json m_exports = Json::array();
};

Machine qcow2_under_top() {
  Machine machine;
  machine.node("top", "raw").node("image", "qcow2").node("file", "file", 4096);
  machine.on("top", "image").on("image", "file");
  return machine;
}

TEST(QemuInventory, AnExportedFilterOverAnImage) {
  const auto disks = qcow2_under_top().exported("live", "top").disks();
  ASSERT_THAT(disks, SizeIs(1));
  EXPECT_EQ(disks[0].id, "top");
  EXPECT_EQ(disks[0].label, "/disks/image");
  EXPECT_EQ(disks[0].size, 1U << 20);
  EXPECT_EQ(disks[0].filter, "top");
  EXPECT_EQ(disks[0].below, "image");
  EXPECT_EQ(disks[0].format, "image");
  EXPECT_TRUE(disks[0].persistent);
  EXPECT_TRUE(disks[0].protectable) << disks[0].reason;
}

TEST(QemuInventory, AFrozenDiskIsStillTheSame) {
  Machine machine;
  machine.node("top", "raw").node("image", "qcow2").node("file", "file", 4096);
  machine.node("hamal-0123abcd-000001-beef-c0", "copy-before-write").node("scratch", "file");
  machine.on("top", "hamal-0123abcd-000001-beef-c0").on("image", "file");
  machine.on("hamal-0123abcd-000001-beef-c0", "image");
  machine.on("hamal-0123abcd-000001-beef-c0", "scratch", "target");
  machine.node("hamal-0123abcd-000001-beef-s0", "snapshot-access");
  machine.on("hamal-0123abcd-000001-beef-s0", "hamal-0123abcd-000001-beef-c0");
  machine.exported("live", "top");
  machine.exported("hamal-0123abcd-000001-beef-x0", "hamal-0123abcd-000001-beef-s0", "read");
  const auto disks = machine.disks();
  ASSERT_THAT(disks, SizeIs(1)) << "our own export is no disk";
  EXPECT_EQ(disks[0].id, "top");
  EXPECT_EQ(disks[0].below, "image");
  EXPECT_EQ(disks[0].cbw, "hamal-0123abcd-000001-beef-c0");
  EXPECT_EQ(next_sequence(machine.graph(), "0123abcd"), 2U);
  EXPECT_EQ(next_sequence(machine.graph(), "ffff0000"), 1U);
}

TEST(QemuInventory, AnExportRightOnTheImage) {
  Machine machine;
  machine.node("image", "qcow2").node("file", "file", 4096).on("image", "file");
  const auto disks = machine.exported("live", "image").disks();
  ASSERT_THAT(disks, SizeIs(1));
  EXPECT_FALSE(disks[0].protectable);
  EXPECT_THAT(disks[0].reason, HasSubstr("--blockdev driver=raw"));
}

TEST(QemuInventory, ARawImageIsNoFilter) {
  Machine machine;
  machine.node("top", "raw").node("image", "raw").node("file", "file");
  machine.on("top", "image").on("image", "file").exported("live", "top");
  const auto disks = machine.disks();
  EXPECT_EQ(disks[0].filter, "top");
  EXPECT_EQ(disks[0].format, "image");
  EXPECT_FALSE(disks[0].persistent);
  EXPECT_TRUE(disks[0].protectable);
  EXPECT_THAT(disks[0].reason, HasSubstr("only while QEMU runs"));
}

TEST(QemuInventory, DevicesOfAGuest) {
  Machine machine;
  machine.node("image", "qcow2").node("file", "file", 4096).on("image", "file");
  machine.device("/machine/peripheral/vd0/virtio-backend", "image").empty_drive("cd0");
  machine.node("legacy", "qcow2").node("f2", "file").on("legacy", "f2");
  machine.device("/machine/peripheral-anon/device[3]", "legacy", "virtio0");
  const auto disks = machine.disks();
  ASSERT_THAT(disks, SizeIs(3));
  EXPECT_EQ(disks[0].id, "cd0");
  EXPECT_THAT(disks[0].reason, HasSubstr("empty"));
  EXPECT_EQ(disks[1].id, "vd0");
  EXPECT_TRUE(disks[1].protectable) << disks[1].reason;
  EXPECT_THAT(disks[1].filter, IsEmpty()) << "one is inserted when it is frozen";
  EXPECT_EQ(disks[1].device, "/machine/peripheral/vd0/virtio-backend");
  EXPECT_EQ(disks[2].id, "virtio0");
}

TEST(QemuInventory, WhatCannotBeProtectedSaysWhy) {
  Machine readonly;
  readonly.node("top", "raw").read_only().node("image", "qcow2").read_only();
  readonly.node("file", "file").on("top", "image").on("image", "file").exported("e", "top");
  EXPECT_THAT(readonly.disks().at(0).reason, HasSubstr("read-only"));

  EXPECT_THAT(qcow2_under_top().exported("e", "top", "read").disks().at(0).reason,
              HasSubstr("exported read-only"));

  Machine job;
  job.node("mirror", "mirror_top").node("image", "qcow2").node("file", "file");
  job.on("mirror", "image").on("image", "file").device("/machine/peripheral/vd0", "mirror");
  EXPECT_THAT(job.disks().at(0).reason, HasSubstr("block job"));

  Machine part;
  part.node("part", "raw", 4096).node("image", "qcow2").node("file", "file");
  part.on("part", "image").on("image", "file").device("/machine/peripheral/vd0", "part");
  EXPECT_FALSE(part.disks().at(0).protectable);
  EXPECT_THAT(part.disks().at(0).reason, HasSubstr("part of an image"));
}

TEST(QemuInventory, ACircleEnds) {
  Machine machine;
  machine.node("a", "throttle").node("b", "throttle").on("a", "b").on("b", "a");
  const auto disks = machine.device("/machine/peripheral/vd0", "a").disks();
  EXPECT_FALSE(disks.at(0).protectable);
  EXPECT_THAT(disks.at(0).reason, HasSubstr("circle"));
}

TEST(QemuInventory, RepliesAreChecked) {
  const Json nothing{{"nodes", Json::array()}, {"edges", Json::array()}};
  EXPECT_THROW(BlockGraph(Json(3), nothing, "test"), Error);
  EXPECT_THROW(BlockGraph(Json::array({3}), nothing, "test"), Error);
  EXPECT_THROW(BlockGraph(Json::array({{{"node-name", "a"}}}), nothing, "test"), Error);
  EXPECT_THROW(BlockGraph(Json::array(), Json::object(), "test"), Error);
  const Json lost{{"nodes", Json::array()},
                  {"edges", Json::array({{{"parent", 1}, {"child", 2}, {"name", "file"}}})}};
  EXPECT_THROW(BlockGraph(Json::array(), lost, "test"), Error);
  const BlockGraph empty(Json::array(), nothing, "test");
  EXPECT_THROW(find_disks(empty, Json::array({7}), Json::array(), "test"), Error);
  EXPECT_THROW(find_disks(empty, Json::array(), Json::array({Json::object()}), "test"), Error);
  const Json absent = Json::array({{{"qdev", "q"}, {"inserted", {{"node-name", "gone"}}}}});
  EXPECT_THROW(find_disks(empty, absent, Json::array(), "test"), Error);
}

TEST(QemuInventory, BitmapsAreRead) {
  Machine machine;
  machine.node("image", "qcow2").bitmap({{"granularity", 65536}});
  machine.bitmap({{"name", "b"}, {"granularity", 4096}, {"recording", true}, {"busy", true}});
  machine.bitmap({{"name", "c"}, {"granularity", 4096}, {"inconsistent", true}});
  const auto bitmaps = machine.graph().at("image").bitmaps;
  ASSERT_THAT(bitmaps, SizeIs(2)) << "QEMU's own have no name";
  EXPECT_TRUE(bitmaps[0].recording && bitmaps[0].busy && !bitmaps[0].inconsistent);
  EXPECT_TRUE(bitmaps[1].inconsistent && !bitmaps[1].recording);
}

TEST(QemuInventory, ChoosingDisks) {
  const auto disks = qcow2_under_top().exported("live", "top").empty_drive("cd0").disks();
  EXPECT_THAT(choose_disks(disks, {}, "vm"), SizeIs(1));
  EXPECT_THAT(choose_disks(disks, {"top", "top"}, "vm"), SizeIs(1));
  EXPECT_THROW(choose_disks(disks, {"cd0"}, "vm"), Error);
  EXPECT_THROW(choose_disks(disks, {"vd9"}, "vm"), Error);
  EXPECT_THROW(choose_disks({}, {}, "vm"), Error);
}

}  // namespace
}  // namespace hamal::qemu
