// The parts of the platform fusion_compute that need no server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <set>

#include "hamal/platform/fusioncompute/change_id.hpp"
#include "hamal/platform/fusioncompute/changed_blocks.hpp"
#include "hamal/platform/fusioncompute/disk_reader.hpp"
#include "hamal/platform/fusioncompute/snapshots.hpp"
#include "hamal/platform/fusioncompute/vna_codec.hpp"
#include "hamal/platform/fusioncompute/vrm_error.hpp"
#include "hamal/platform/fusioncompute/vrm_reply.hpp"
#include "hamal/util/error.hpp"

namespace hamal::fusioncompute {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

template <typename Call>
std::string refusal(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was refused";
}

ChangeId sample_id() {
  return {.volume_urn = "urn:sites:A:volumes:1",
          .snapshot_urn = "urn:sites:A:vms:i-1:snapshots:2",
          .snap_uuid = "a/b %",
          .tracking_begun = "1700000000",
          .change_number = 7,
          .size = 1U << 30U,
          .host_urn = "urn:sites:A:hosts:1",
          .datastore_urn = ""};
}

TEST(FusionComputeChangeId, ComesBackAsItWas) {
  EXPECT_EQ(parse_change_id(to_string(sample_id())), sample_id());
  for (const char* text : {"", "fc1", "fc1/////////", "fc2/a/b/c/d/1/2/e/f", "fc1/a/b/c/d/x/2/e/f",
                           "fc1/a/b/c/d/0/2/e/f", "fc1/a/b/c/d/1/2/e/f/g", "fc1/%zz/b/c/d/1/2/e/f",
                           "52 de c0 d9/12"}) {
    EXPECT_FALSE(parse_change_id(text)) << text;
  }
}

// Break it: leave any of the comparisons out.
TEST(FusionComputeChangeId, OneMoreIsComparableAndNothingElse) {
  const ChangeId base = sample_id();
  ChangeId now = base;
  now.change_number = 8;
  now.snap_uuid = "another";
  now.snapshot_urn = "another";
  EXPECT_THAT(why_not_comparable(base, now), IsEmpty());
  const auto with = [&](auto change) {
    ChangeId other = now;
    change(other);
    return why_not_comparable(base, other);
  };
  EXPECT_THAT(with([](ChangeId& id) { id.change_number = 9; }), HasSubstr("from 7 to 9"));
  EXPECT_THAT(with([](ChangeId& id) { id.change_number = 7; }), HasSubstr("restarted"));
  EXPECT_THAT(with([](ChangeId& id) { id.change_number = 1; }), HasSubstr("restarted"));
  EXPECT_THAT(with([](ChangeId& id) { id.tracking_begun += "1"; }), HasSubstr("volCBTCreateTime"));
  EXPECT_THAT(with([](ChangeId& id) { id.size += 512; }), HasSubstr("bytes"));
  EXPECT_THAT(with([](ChangeId& id) { id.volume_urn += "1"; }), HasSubstr("another volume"));
  EXPECT_THAT(with([](ChangeId& id) { id.host_urn += "1"; }), HasSubstr("another host"));
  EXPECT_THAT(with([](ChangeId& id) { id.datastore_urn += "1"; }), HasSubstr("datastore"));
}

/// What a server says of the blocks [start, start + count), as the documents have it.
std::string page_of(const std::set<std::uint64_t>& changed, std::uint64_t start,
                    std::uint64_t count, std::uint64_t block_size) {
  std::string map;
  std::uint64_t ones = 0;
  for (std::uint64_t byte = 0; byte < (count + 7) / 8; ++byte) {
    unsigned bits = 0;
    for (std::uint64_t bit = 0; bit < 8 && byte * 8 + bit < count; ++bit) {
      const bool set = changed.contains(start + byte * 8 + bit);
      bits |= set ? 1U << bit : 0U;
      ones += set ? 1 : 0;
    }
    const bool half = byte == count / 8 && count % 8 != 0 && count % 8 <= 4;
    map += half ? fmt::format("{:x}", bits) : fmt::format("{:02x}", bits);
  }
  return fmt::format(R"({{"sectorOfBlock":{},"bitNum":"{}","bit1Num":{},"bitMap":"{}"}})",
                     block_size / 512, count, ones, map);
}

// Break it: take the high bit of a byte for the lower block; forget to cut the last block.
TEST(FusionComputeBitmap, ExtentsAreTheChangedBlocksOfAModel) {
  std::mt19937 random(20261130);
  const auto below = [&](std::uint64_t bound) {
    return std::uniform_int_distribution<std::uint64_t>(0, bound - 1)(random);
  };
  for (int round = 0; round < 300; ++round) {
    const std::uint64_t block_size = 512 * (1 + below(8));
    const std::uint64_t size = 512 * (1 + below(4000));
    const std::uint64_t blocks = (size + block_size - 1) / block_size;
    const std::uint64_t page = 8 * (1 + below(64));
    std::set<std::uint64_t> changed;
    for (std::uint64_t i = below(blocks + 1); i > 0; --i) {
      changed.insert(below(blocks));
    }
    ChangesWanted wanted;
    wanted.size = size;
    std::set<std::uint64_t> found;
    for (std::uint64_t at = 0; at < blocks; at += page) {
      const std::uint64_t count = std::min(page, blocks - at);
      const ChangedPage parsed =
          parse_changed(page_of(changed, at, count, block_size), page, "test");
      for (const Extent& extent : extents_of(parsed, at, page, wanted)) {
        ASSERT_LE(extent.end(), size);
        ASSERT_EQ(extent.offset % block_size, 0U);
        for (std::uint64_t offset = extent.offset; offset < extent.end(); offset += block_size) {
          ASSERT_TRUE(found.insert(offset / block_size).second);
        }
      }
    }
    ASSERT_EQ(found, changed) << "round " << round;
  }
}

// Break it: leave any of the checks out of parse_changed() or extents_of().
TEST(FusionComputeBitmap, ALieIsRefused) {
  const auto parse = [](const std::string& body) { return parse_changed(body, 16, "test"); };
  const auto said = [&](const std::string& body) { return refusal([&] { parse(body); }); };
  EXPECT_THAT(said(R"({"sectorOfBlock":0,"bitNum":8,"bit1Num":0,"bitMap":"00"})"),
              HasSubstr("sectorOfBlock"));
  EXPECT_THAT(said(R"({"sectorOfBlock":99999999999,"bitNum":8,"bit1Num":0,"bitMap":"00"})"),
              HasSubstr("sectorOfBlock"));
  EXPECT_THAT(said(R"({"sectorOfBlock":1,"bitNum":24,"bit1Num":0,"bitMap":"000000"})"),
              HasSubstr("were asked for"));
  EXPECT_THAT(said(R"({"sectorOfBlock":1,"bitNum":16,"bit1Num":0,"bitMap":"00"})"),
              HasSubstr("has 2 characters"));
  EXPECT_THAT(said(R"({"sectorOfBlock":1,"bitNum":8,"bit1Num":0,"bitMap":"0g"})"),
              HasSubstr("hexadecimal"));
  EXPECT_THAT(said(R"({"sectorOfBlock":1,"bitNum":8,"bit1Num":2,"bitMap":"01"})"),
              HasSubstr("1 bits are set"));
  EXPECT_THAT(said(R"({"sectorOfBlock":1,"bitNum":3,"bit1Num":1,"bitMap":"8"})"),
              HasSubstr("behind its end"));
  EXPECT_THAT(said(R"({"sectorOfBlock":1,"bitNum":-1,"bit1Num":1,"bitMap":"8"})"),
              HasSubstr("bitNum"));
  ChangesWanted wanted;
  wanted.size = 512 * 20;
  const ChangedPage page = parse(page_of({1}, 0, 8, 512));
  EXPECT_THAT(refusal([&] { extents_of(page, 0, 16, wanted); }), HasSubstr("ends after 8 blocks"));
  EXPECT_THAT(refusal([&] { extents_of(parse(page_of({23}, 16, 8, 512)), 16, 16, wanted); }),
              HasSubstr("block 23 is behind the end"));
  EXPECT_THAT(extents_of(parse(page_of({19}, 16, 8, 512)), 16, 16, wanted), SizeIs(1));
  EXPECT_THAT(refusal([&] { extents_of(parse(page_of({}, 16, 16, 512)), 16, 16, wanted); }),
              HasSubstr("16 blocks"));
}

TEST(FusionComputeReplies, NumbersTruthAndSizesMayBeText) {
  const Machine machine = parse_machine(
      R"({"uri":"/service/sites/A/vms/i-1","urn":"urn:sites:A:vms:i-1","name":"n","isTemplate":"false",
          "isLinkClone":null,"vmConfig":{"disks":[{"sequenceNum":"1","volumeUrn":"urn:sites:A:volumes:9",
          "quantityGB":"2","type":"share","indepDisk":"true"}]}})",
      "test");
  ASSERT_THAT(machine.disks, SizeIs(1));
  EXPECT_EQ(machine.disks[0].id(), "disk1");
  EXPECT_EQ(machine.disks[0].size, 2ULL << 30U);
  EXPECT_EQ(machine.disks[0].volume_uri, "/service/sites/A/volumes/9");
  EXPECT_TRUE(machine.disks[0].shared);
  EXPECT_TRUE(machine.disks[0].independent);
  EXPECT_FALSE(machine.is_template);
}

TEST(FusionComputeReplies, WhatLeadsElsewhereIsRefused) {
  const auto sites = [](const std::string& uri) {
    return refusal([&] {
      parse_places(R"({"sites":[{"uri":")" + uri + R"(","urn":"u"}]})", "sites", "test");
    });
  };
  EXPECT_EQ(sites("/service/sites/A"), "nothing was refused");
  for (const char* uri : {"https://elsewhere/service/", "/service/../etc", "/other", "/service/a?b",
                          "/service/a b", "/service/a#b", ""}) {
    EXPECT_THAT(sites(uri), HasSubstr("sites[0].uri")) << uri;
  }
  EXPECT_THAT(refusal([] { uri_of_urn("urn:sites:A/../B:volumes:1", "test"); }), HasSubstr("URN"));
}

TEST(FusionComputeReplies, TwoDisksOfOneSlotAreRefused) {
  const std::string disk =
      R"({"sequenceNum":1,"volumeUrn":"urn:sites:A:volumes:9","quantityGB":1})";
  EXPECT_THAT(refusal([&] {
                parse_machine(R"({"uri":"/service/a","urn":"u","name":"n","vmConfig":{"disks":[)" +
                                  disk + "," + disk + "]}}",
                              "test");
              }),
              HasSubstr("that of another disk"));
}

// Break it: leave a code out of the table, or the words of the server.
TEST(FusionComputeErrors, NameTheCodeAndTheCure) {
  const auto said = [](const std::string& body, int status) {
    return refusal([&] { throw_refusal(body, status, "GET /service/x"); });
  };
  for (const char* code :
       {"10000002", "10000003", "10000022", "10300017", "10300018", "10300026", "10300109",
        "10300110", "10300111", "10300112", "10300141", "10300142", "10300162", "10300412",
        "10300413", "10300421", "10420004", "10420108", "10430031", "10430041"}) {
    const std::string text =
        said(fmt::format(R"({{"errorCode":"{}","errorDes":"words"}})", code), 500);
    EXPECT_THAT(text,
                AllOf(HasSubstr(code), HasSubstr("(\"words\")"), HasSubstr("GET /service/x")));
    EXPECT_THAT(text, testing::Not(HasSubstr("see the task in FusionCompute"))) << code;
  }
  EXPECT_THAT(said(R"({"errorCode":12345,"errorDes":""})", 500), HasSubstr("12345"));
  EXPECT_THAT(said("<html>", 502), HasSubstr("HTTP 502"));
  EXPECT_THAT(said("{}", 404), HasSubstr("HTTP 404"));
}

TEST(FusionComputeVersions, TheNewestIsByNumber) {
  EXPECT_EQ(newest_version({"v6.5", "v8.0", "v6.3"}), "v8.0");
  EXPECT_EQ(newest_version({"v6.5", "v6.10"}), "v6.10");
  EXPECT_EQ(newest_version({}), "");
}

TEST(FusionComputeSnapshots, ItsDescriptionSaysForWhichDisks) {
  Disk first;
  first.sequence = 1;
  Disk second;
  second.sequence = 12;
  Snapshot snapshot;
  const std::string id = new_snapshot_id("0123abcd");
  snapshot.description = description_of(id, {first, second});
  EXPECT_THAT(disks_in(snapshot), ElementsAre("disk1", "disk12"));
  EXPECT_EQ(hamal_id(snapshot), id);
  EXPECT_TRUE(is_of(id, "0123abcd"));
  EXPECT_FALSE(is_of(id, "0123abce"));
  snapshot.description = "made by hand";
  EXPECT_THAT(disks_in(snapshot), IsEmpty());
}

/// A peer that has said everything beforehand.
class Said final : public ByteStream {
 public:
  explicit Said(std::string text) : m_text(std::move(text)) {}
  void write(std::span<const std::byte> bytes) override {
    for (const std::byte one : bytes) {
      asked += static_cast<char>(one);
    }
  }
  void read(std::span<std::byte> into) override {
    if (into.size() > m_text.size()) {
      throw Error(ErrorKind::failed, "the connection was cut", "test", "", Transience::transient);
    }
    std::copy_n(std::as_bytes(std::span(m_text)).begin(), into.size(), into.begin());
    m_text.erase(0, into.size());
  }
  bool peer_has_closed() const override { return m_text.empty(); }
  std::string asked;

 private:
  std::string m_text;
};

std::string little(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) {
    text += static_cast<char>((value >> (8 * i)) & 0xffU);
  }
  return text;
}

std::string frame(unsigned operation, std::uint64_t sequence, std::uint64_t status,
                  const std::string& body, unsigned version = 1) {
  std::string head = "HVNA" + little(version, 2) + little(operation, 2) + little(sequence, 8) +
                     little(status, 8) + little(body.size(), 4);
  const std::uint32_t crc =
      crc32(std::as_bytes(std::span(body)), crc32(std::as_bytes(std::span(head))));
  return head + little(crc, 4) + body;
}

TEST(FusionComputeSocket, TheChecksumIsTheKnownOne) {
  const std::string text = "123456789";
  EXPECT_EQ(crc32(std::as_bytes(std::span(text))), 0xCBF43926U);
}

// Break it: leave the sequence, the length or the checksum out of take().
TEST(FusionComputeSocket, RepliesThatAreNotGoodAreRefused) {
  std::array<std::byte, 4> into;
  const auto reading = [&](const std::string& reply) {
    Said stream(reply);
    return refusal([&] { make_project_codec("disk")->read(stream, 512, into); });
  };
  EXPECT_EQ(reading(frame(0x8002, 1, 0, "abcd")), "nothing was refused");
  EXPECT_EQ(std::memcmp(into.data(), "abcd", 4), 0);
  EXPECT_THAT(reading(frame(0x8002, 2, 0, "abcd")), HasSubstr("answers request 2 and not 1"));
  EXPECT_THAT(reading(frame(0x8001, 1, 0, "abcd")), HasSubstr("answers request"));
  EXPECT_THAT(reading(frame(0x8002, 1, 0, "abcd", 2)), HasSubstr("another version"));
  EXPECT_THAT(reading(frame(0x8002, 1, 5, "abcd")), HasSubstr("status 5"));
  EXPECT_THAT(reading(frame(0x8002, 1, 0, "abcde")), HasSubstr("has 5 bytes"));
  std::string damaged = frame(0x8002, 1, 0, "abcd");
  damaged.back() = 'x';
  EXPECT_THAT(reading(damaged), HasSubstr("checksum"));
  EXPECT_THAT(reading("HTTP/1.1 400 Bad Request\r\n\r\n......"), HasSubstr("no frame"));
  EXPECT_THAT(reading("HVNA"), HasSubstr("cut"));
}

TEST(FusionComputeSocket, RequestsAreAsThePageHasThem) {
  Said stream(frame(0x8001, 1, 0, little(4096, 8)) + frame(0x8002, 2, 0, "ab") +
              frame(0x8003, 3, 0, ""));
  const auto codec = make_project_codec("disk");
  EXPECT_EQ(codec->open(stream, "token"), 4096U);
  std::array<std::byte, 2> into;
  codec->read(stream, 1024, into);
  codec->close(stream);
  std::string read_head =
      "HVNA" + little(1, 2) + little(2, 2) + little(2, 8) + little(1024, 8) + little(2, 4);
  read_head += little(crc32(std::as_bytes(std::span(read_head))), 4);
  EXPECT_EQ(stream.asked, frame(1, 1, 0, "token") + read_head + frame(3, 3, 0, ""));
}

TEST(FusionComputePlaces, AreFilledInWithoutLeadingElsewhere) {
  FrozenDisk frozen;
  frozen.machine.name = "web 01";
  frozen.machine.uuid = "u1";
  frozen.disk.sequence = 2;
  frozen.volume.name_on_device = "snap";
  Volume volume;
  volume.name_on_device = "a/b";
  EXPECT_EQ(fill_in("rbd:p/{volume}@{snapshot}", frozen, volume, "s", Encode::percent),
            "rbd:p/a%2Fb@snap");
  EXPECT_THAT(refusal([&] { fill_in("/m/{volume}", frozen, volume, "s", Encode::path_component); }),
              HasSubstr("{volume}"));
  EXPECT_EQ(fill_in("/m/{datastore}/{vm}-{disk}{x", frozen, volume, "s", Encode::path_component),
            "/m/s/web 01-disk2{x");
  EXPECT_THAT(
      refusal([&] { fill_in("/m/{snapshot_uuid}", frozen, volume, "s", Encode::path_component); }),
      HasSubstr("{snapshot_uuid}"));
}

}  // namespace
}  // namespace hamal::fusioncompute
