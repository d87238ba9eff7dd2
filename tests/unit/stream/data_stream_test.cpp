// The data stream: round trips, skipping, detection.
#include "hamal/stream/data_stream.hpp"

#include <random>

#include "feed.hpp"
#include "records.hpp"

namespace hamal::test {
namespace {

struct Content {
  std::vector<Extent> plan;
  std::vector<Extent> zeros;
  std::vector<std::pair<std::uint64_t, std::string>> data;
  friend bool operator==(const Content&, const Content&) = default;
};

/// What a reader makes of it, per disk.
std::vector<Content> read_all_of(int fd) {
  DataStreamReader reader(fd, "test");
  std::vector<Content> disks(reader.header().disks.size());
  for (;;) {
    const StreamRecord record = reader.next();
    if (const auto* plan = std::get_if<PlanRecord>(&record)) {
      auto& all = disks[plan->disk].plan;
      all.insert(all.end(), plan->extents.begin(), plan->extents.end());
    } else if (const auto* data = std::get_if<DataRecord>(&record)) {
      disks[data->disk].data.emplace_back(
          data->offset,
          std::string(reinterpret_cast<const char*>(data->bytes.data()), data->bytes.size()));
    } else if (const auto* zero = std::get_if<ZeroRecord>(&record)) {
      disks[zero->disk].zeros.push_back({zero->offset, zero->length, ExtentKind::zero});
    } else {
      EXPECT_TRUE(std::holds_alternative<EndRecord>(reader.next())) << "the end must stay the end";
      return disks;
    }
  }
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

TEST(DataStream, RoundTripsWhateverTheChunks) {
  std::random_device device;
  const auto first = device();
  for (auto seed = first; seed < first + 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    std::string bytes;
    DataStreamWriter writer(append_to(bytes), two_disks());
    std::vector<Content> expected(2);
    for (std::size_t disk = 0; disk < 2; ++disk) {
      std::uint64_t end = 0;
      for (auto i = random() % 40; i > 0; --i) {
        const Extent extent{end + random() % 3 * 512, 1 + random() % 9000,
                            random() % 2 == 0 ? ExtentKind::data : ExtentKind::zero};
        end = extent.end();
        expected[disk].plan.push_back(extent);
        writer.plan(disk, {&extent, 1});
      }
    }
    for (std::size_t disk = 0; disk < 2; ++disk) {
      for (const Extent& extent : expected[disk].plan) {
        // Some of the planned data turns out to be zeros.
        if (extent.kind == ExtentKind::zero || random() % 4 == 0) {
          writer.zero(disk, extent.offset, extent.length);
          expected[disk].zeros.push_back({extent.offset, extent.length, ExtentKind::zero});
        } else {
          const std::string data(extent.length, static_cast<char>(random()));
          writer.data(disk, extent.offset, bytes_of(data));
          expected[disk].data.emplace_back(extent.offset, data);
        }
      }
    }
    writer.finish();
    const Dribble pipe(bytes, 1 + random() % 9000, seed % 2 == 0);
    ASSERT_EQ(read_all_of(pipe.fd()), expected);
  }
}

TEST(DataStream, CutsWhatIsLargerThanARecord) {
  std::string bytes;
  DataStreamWriter writer(append_to(bytes), one_disk(1 << 24));
  std::string data(9'000'001, 'x');
  data.back() = 'y';
  std::vector<Extent> plan{{0, data.size(), ExtentKind::data}};
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    plan.push_back({data.size() + 1 + 2 * i, 1, ExtentKind::zero});
  }
  writer.plan(0, plan);
  writer.data(0, 0, bytes_of(data));
  for (std::size_t i = 1; i < plan.size(); ++i) {
    writer.zero(0, plan[i].offset, 1);
  }
  writer.finish();
  const Dribble pipe(bytes, 1'000'000);
  const std::vector<Content> disks = read_all_of(pipe.fd());
  EXPECT_EQ(disks[0].plan, plan);
  ASSERT_EQ(disks[0].data.size(), 3U);
  EXPECT_EQ(disks[0].data[2].first, 2 * std::uint64_t{k_max_data_record});
  EXPECT_EQ(disks[0].data[0].second + disks[0].data[1].second + disks[0].data[2].second, data);
}

TEST(DataStream, GivesTheHeaderBackAndStartsFromAPrefix) {
  std::string bytes;
  DataStreamWriter(append_to(bytes), two_disks()).finish();
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    const UniqueFd rest = memory_file(bytes.substr(cut));
    DataStreamReader reader(rest.get(), "test", bytes.substr(0, cut));
    EXPECT_EQ(reader.header(), two_disks());
    EXPECT_TRUE(std::holds_alternative<EndRecord>(reader.next()));
  }
}

TEST(DataStream, SkipsOptionalRecordsOfAnyLength) {
  std::string bytes;
  DataStreamWriter writer(append_to(bytes), one_disk());
  bytes += record("note", std::string(3'000'000, 'n'));
  const Extent extent{0, 3, ExtentKind::data};
  writer.plan(0, {&extent, 1});
  bytes += record("xyzz", "");
  writer.data(0, 0, bytes_of("abc"));
  bytes += record("hInt", "z");
  writer.finish();
  const UniqueFd fd = memory_file(bytes);
  EXPECT_EQ(read_all_of(fd.get())[0].data[0].second, "abc");
}

TEST(DataStream, TheWriterChecksItsCaller) {
  std::string bytes;
  const Extent extent{0, 10, ExtentKind::data};
  {
    DataStreamWriter writer(append_to(bytes), one_disk());
    EXPECT_THROW(writer.plan(1, {&extent, 1}), std::logic_error);
    writer.plan(0, {&extent, 1});
    EXPECT_THROW(writer.plan(0, {&extent, 1}), std::logic_error) << "overlap";
    EXPECT_THROW(writer.data(0, 0, {}), std::logic_error);
    EXPECT_THROW(writer.zero(0, (1 << 20) - 1, 2), std::logic_error);
    EXPECT_THROW(writer.plan(0, {}), std::logic_error) << "after the copy began";
    EXPECT_THROW(writer.finish(), std::logic_error) << "planned, not sent";
    EXPECT_THROW(writer.fail(ExitStatus::done, ""), std::logic_error);
    writer.zero(0, 0, 10);
    writer.finish();
    EXPECT_THROW(writer.finish(), std::logic_error);
  }
  const UniqueFd fd = memory_file(bytes);
  EXPECT_EQ(read_all_of(fd.get())[0].plan, (std::vector<Extent>{extent}));
}

}  // namespace
}  // namespace hamal::test
