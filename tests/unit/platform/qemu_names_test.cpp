// Names in QEMU: what we write is read back, what is not ours is nobody's.
#include <gtest/gtest.h>

#include "hamal/platform/qemu/names.hpp"

namespace hamal::qemu {
namespace {

const SnapshotName k_name{"0123abcd", 42, "beef"};

TEST(QemuNames, SnapshotsAreReadBack) {
  EXPECT_EQ(to_string(k_name), "hamal-0123abcd-000042-beef");
  EXPECT_EQ(parse_snapshot_name(to_string(k_name)), k_name);
  const SnapshotName late{"0123abcd", 1'234'567, "beef"};
  EXPECT_EQ(parse_snapshot_name(to_string(late)), late);
}

TEST(QemuNames, BitmapsAreReadBack) {
  for (const char* previous : {"none", "0a0b"}) {
    const BitmapName bitmap{k_name, previous, new_own()};
    EXPECT_EQ(parse_bitmap_name(to_string(bitmap)), bitmap);
  }
}

TEST(QemuNames, NothingElseIsOurs) {
  for (const char* text :
       {"", "hamal", "hamal-", "hamal-0123abcd", "hamal-0123abcd-000042", "hamal-0123abcd-42-beef",
        "hamal-0123abcd-000042-bee", "hamal-0123abcd-000042-BEEF", "hamal-0123ABCD-000042-beef",
        "hamal-0123abcd-000042-beef-", "hamal-0123abcd-0000042-beef", "hamal-0123abc-000042-beef",
        "hamal-0123abcd-99999999999-beef", "hamal-0123abcd--00042-beef",
        "xhamal-0123abcd-000042-beef", "hamal-0123abcd-000042-beef-c0"}) {
    EXPECT_FALSE(parse_snapshot_name(text)) << text;
  }
  for (const char* text :
       {"hamal-0123abcd-000042-beef", "hamal-0123abcd-000042-beef-",
        "hamal-0123abcd-000042-beef-none", "hamal-0123abcd-000042-beef-nonee-00000001",
        "hamal-0123abcd-000042-beef-none-0001", "hamal-0123abcd-000042-beef-c0",
        "hamal-0123abcd-000042-beef-read-00112233", "operators-bitmap"}) {
    EXPECT_FALSE(parse_bitmap_name(text)) << text;
  }
}

TEST(QemuNames, NodesFitIntoWhatQemuAllows) {
  const std::string id = to_string(SnapshotName{"0123abcd", 999'999, "beef"});
  for (const NodeKind kind : {NodeKind::filter, NodeKind::scratch, NodeKind::scratch_file,
                              NodeKind::frozen, NodeKind::frozen_export}) {
    EXPECT_LE(node_name(id, kind, 999).size(), k_max_node_name);
  }
  EXPECT_LE(top_filter_name("0123abcd", "a1b2c3").size(), k_max_node_name);
  EXPECT_LE(server_marker_name("0123abcd").size(), k_max_node_name);
}

TEST(QemuNames, WhatBelongsToASnapshotIsFound) {
  const auto owned = parse_owned_name(node_name(to_string(k_name), NodeKind::frozen, 7));
  ASSERT_TRUE(owned);
  EXPECT_EQ(owned->snapshot, k_name);
  EXPECT_EQ(owned->rest, "s7");
  const auto reading = parse_owned_name(read_name(to_string(k_name), "00112233"));
  ASSERT_TRUE(reading);
  EXPECT_TRUE(is_read_name(*reading));
  EXPECT_FALSE(is_read_name(*owned));
  EXPECT_FALSE(parse_owned_name(top_filter_name("0123abcd", "a1b2c3")));
  EXPECT_FALSE(parse_owned_name(server_marker_name("0123abcd")));
  EXPECT_EQ(frozen_export_of(node_name(to_string(k_name), NodeKind::filter, 12)),
            node_name(to_string(k_name), NodeKind::frozen_export, 12));
}

}  // namespace
}  // namespace hamal::qemu
