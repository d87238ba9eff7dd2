// Reading versions: every byte, in few requests, around what moved and what is damaged.
#include "hamal/repository/version_reader.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <random>

#include "bytes.hpp"
#include "hamal/util/error.hpp"
#include "memory_store.hpp"
#include "version_lab.hpp"

namespace hamal::repository {
namespace {

using testing::HasSubstr;

class VersionReaderTest : public testing::Test {
 protected:
  static constexpr std::uint64_t k_size = (6U << 20) + 4096 + 512;

  VersionReaderTest() {
    auto store = std::make_unique<test::MemoryStore>();
    m_store = store.get();
    m_repository = std::make_shared<LabRepository>(std::move(store));
    m_lab = std::make_unique<VersionLab>(*m_repository, k_size);
  }

  /// Random content, or what compresses.
  void fill(std::uint64_t offset, std::uint64_t length) {
    const auto seed = static_cast<unsigned>(m_random());
    const bool compresses = m_compresses && seed % 2 == 0;
    const Bytes bytes = compresses ? compressible_bytes(length, seed) : random_bytes(length, seed);
    std::copy(bytes.begin(), bytes.end(),
              m_lab->content().begin() + static_cast<std::ptrdiff_t>(offset));
  }
  /// A full with a hole, then runs of random changes.
  void write_versions(int runs) {
    fill(0, 2U << 20);
    fill(3U << 20, k_size - (3U << 20));
    m_lab->run({{0, 2U << 20, ExtentKind::data}, {3U << 20, k_size - (3U << 20), ExtentKind::data}},
               20);
    for (int i = 0; i < runs; ++i) {
      write_changes();
    }
  }
  void write_changes() {
    std::vector<Extent> changed;
    std::uint64_t at = m_random() % 100 * 4096;
    while (at + (64U << 10) < k_size) {
      const Extent extent{at, (1 + m_random() % 20) * 4096 % (64U << 10) + 4096,
                          m_random() % 4 == 0 ? ExtentKind::zero : ExtentKind::data};
      if (extent.kind == ExtentKind::data) {
        fill(extent.offset, extent.length);
      } else {
        std::fill_n(m_lab->content().begin() + static_cast<std::ptrdiff_t>(extent.offset),
                    extent.length, std::byte{0});
      }
      changed.push_back(extent);
      at = extent.end() + (m_random() % 3 == 0 ? 0 : m_random() % 200 * 4096);
    }
    m_lab->run(changed);
  }
  std::unique_ptr<BlockReader> open() {
    return open_version_reader(m_repository, {"dir:lab", "disk 0 of version 3 of web01", k_size,
                                              m_repository->open_layers(m_lab->disk())});
  }
  Bytes read(BlockReader& reader, std::uint64_t offset, std::uint64_t length) {
    Bytes bytes(length, std::byte{0x55});
    reader.read(offset, bytes);
    return bytes;
  }
  Bytes expected(std::uint64_t offset, std::uint64_t length) {
    const ByteView part = ByteView(m_lab->content()).subspan(offset, length);
    return {part.begin(), part.end()};
  }

  bool m_compresses = true;
  std::mt19937_64 m_random{std::random_device{}()};
  test::MemoryStore* m_store = nullptr;
  std::shared_ptr<LabRepository> m_repository;
  std::unique_ptr<VersionLab> m_lab;
};

TEST_F(VersionReaderTest, ReadsEveryByte) {
  write_versions(6);
  const auto reader = open();
  EXPECT_EQ(reader->size(), k_size);
  EXPECT_TRUE(read(*reader, 0, k_size) == m_lab->content());
  for (int i = 0; i < 200; ++i) {
    const std::uint64_t offset = m_random() % k_size;
    const std::uint64_t length = std::min(m_random() % 300'000, k_size - offset);
    ASSERT_TRUE(read(*reader, offset, length) == expected(offset, length))
        << length << " bytes at " << offset;
  }
}

TEST_F(VersionReaderTest, AnEmptyVersionIsZero) {
  m_lab->run({});
  EXPECT_TRUE(read(*open(), 0, k_size) == m_lab->content());
}

TEST_F(VersionReaderTest, TheSameContentTwiceIsReadTwice) {
  fill(0, 64U << 10);
  std::copy_n(m_lab->content().begin(), 64U << 10, m_lab->content().begin() + (1 << 20));
  m_lab->run({{0, 64U << 10, ExtentKind::data}, {1U << 20, 64U << 10, ExtentKind::data}});
  const auto reader = open();
  EXPECT_TRUE(read(*reader, 0, k_size) == m_lab->content());
}

/// Many requests in flight, as the engine has them.
struct Flight final : IoCompletion {
  void io_done(std::exception_ptr failure) noexcept override {
    error = failure;
    --*left;
  }
  Bytes bytes;
  std::size_t* left = nullptr;
  std::exception_ptr error;
};

std::vector<Flight> read_in_flight(BlockReader& reader, std::uint64_t piece) {
  const auto queue = reader.open_queue();
  std::vector<Flight> flights((reader.size() + piece - 1) / piece);
  std::size_t left = flights.size();
  for (std::size_t i = 0; i < flights.size(); ++i) {
    flights[i].left = &left;
    flights[i].bytes.resize(std::min(piece, reader.size() - i * piece));
    queue->read(i * piece, flights[i].bytes, flights[i]);
  }
  while (left > 0) {
    std::vector<pollfd> fds;
    queue->add_poll_fds(fds);
    EXPECT_EQ(fds.size(), 1U);
    ::poll(fds.data(), fds.size(), 60'000);
    queue->progress();
  }
  return flights;
}

TEST_F(VersionReaderTest, NeighboursComeInOneRequest) {
  write_versions(0);
  const auto reader = open();
  const std::size_t before = m_store->gets;
  const auto flights = read_in_flight(*reader, 256U << 10);
  Bytes all;
  for (const Flight& flight : flights) {
    EXPECT_FALSE(flight.error);
    all.insert(all.end(), flight.bytes.begin(), flight.bytes.end());
  }
  EXPECT_TRUE(all == m_lab->content());
  EXPECT_LE(m_store->gets - before, flights.size() + m_lab->packs()) << "not one per record";
}

TEST_F(VersionReaderTest, ManySmallPacksAreReadAhead) {
  write_versions(0);
  constexpr std::uint64_t k_runs = 12;
  for (std::uint64_t run = 0; run < k_runs; ++run) {
    std::vector<Extent> changed;
    for (std::uint64_t at = run * 4096; at + 4096 <= k_size; at += k_runs * 2 * 4096) {
      fill(at, 4096);
      changed.push_back({at, 4096, ExtentKind::data});
    }
    m_lab->run(changed);
  }
  const auto reader = open();
  const std::size_t before = m_store->gets;
  for (const Flight& flight : read_in_flight(*reader, 256U << 10)) {
    EXPECT_FALSE(flight.error);
  }
  // About 750 records of 4 KiB in twelve packs, each read in order; and the full's.
  EXPECT_LE(m_store->gets - before, 250U);
  EXPECT_TRUE(read(*reader, 0, k_size) == m_lab->content());
}

TEST_F(VersionReaderTest, WhatACompactionMovedIsFound) {
  write_versions(3);
  const auto reader = open();
  EXPECT_TRUE(read(*reader, 0, 4096) == expected(0, 4096));
  const std::uint32_t packs = m_lab->packs();
  for (std::uint32_t i = 0; i < packs; ++i) {
    m_repository->move_pack(m_lab->pack(i), m_lab->pack(1000 + i));
  }
  EXPECT_TRUE(read(*reader, 0, k_size) == m_lab->content());
}

std::string failure(BlockReader& reader, std::uint64_t offset, std::uint64_t length) {
  try {
    Bytes bytes(length);
    reader.read(offset, bytes);
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

TEST_F(VersionReaderTest, AMissingPackIsAnErrorThatNamesWhatSuffers) {
  m_compresses = false;
  write_versions(0);
  m_store->remove(pack_key(m_lab->pack(1)));  // records 20 to 39 of the full
  const auto reader = open();
  EXPECT_TRUE(read(*reader, 0, 20 * 65536) == expected(0, 20 * 65536));
  const std::string what = failure(*reader, 20 * 65536 + 4096, 4096);
  EXPECT_THAT(what, HasSubstr("bytes 1314816 to 1318912 of disk 0 of version 3 of web01"));
  EXPECT_THAT(what, HasSubstr("missing"));
  EXPECT_THAT(what, HasSubstr(pack_key(m_lab->pack(1))));
  // In a batch of requests only those that need it fail.
  std::size_t failed = 0;
  for (const Flight& flight : read_in_flight(*reader, 64U << 10)) {
    failed += flight.error ? 1U : 0U;
  }
  EXPECT_EQ(failed, 20U);
}

TEST_F(VersionReaderTest, OfAPackThatWasCutWhatLiesBeforeIsRead) {
  m_compresses = false;
  write_versions(0);
  Bytes& pack = m_store->object(pack_key(m_lab->pack(0)));
  const std::uint64_t record = k_record_header_bytes + k_record_bytes;
  pack.resize(pack_header_bytes(0) + 2 * record + 100);
  const auto reader = open();
  for (const std::uint64_t offset : {0U, 65536U}) {
    EXPECT_EQ(read(*reader, offset, 65536), expected(offset, 65536)) << offset;
  }
  EXPECT_THROW(read(*reader, 131072, 65536), Error);
}

TEST_F(VersionReaderTest, AnyFlippedByteOfARecordIsAnError) {
  m_compresses = false;
  write_versions(0);
  auto& pack = m_store->object(pack_key(m_lab->pack(0)));
  const auto reader = open();
  const std::uint64_t first = pack_header_bytes(0);
  for (int i = 0; i < 100; ++i) {
    const std::size_t at = first + (i < 64 ? static_cast<std::size_t>(i) : m_random() % 1000);
    pack[at] ^= std::byte{0x10};
    const std::string what = failure(*reader, 0, 4096);
    EXPECT_THAT(what, HasSubstr("bytes 0 to 4096 of disk 0 of version 3 of web01")) << at;
    EXPECT_THAT(what, HasSubstr(pack_key(m_lab->pack(0))));
    pack[at] ^= std::byte{0x10};
  }
  EXPECT_EQ(failure(*reader, 0, 4096), "none");
}

TEST_F(VersionReaderTest, AnOutageIsTransient) {
  write_versions(0);
  std::atomic<bool> is_down{false};
  m_store->on_get = [&](const std::string& key) {
    if (is_down && key.starts_with("packs/")) {
      throw Error(ErrorKind::failed, "is away", key, "", Transience::transient);
    }
  };
  const auto reader = open();
  is_down = true;
  Bytes bytes(4096);
  try {
    reader->read(0, bytes);
    FAIL();
  } catch (const Error& error) {
    EXPECT_TRUE(error.transient());
    EXPECT_THAT(error.what(), HasSubstr("is away"));
  }
  is_down = false;
  EXPECT_TRUE(read(*reader, 0, k_size) == m_lab->content());
}

TEST_F(VersionReaderTest, AQueueThatIsDroppedTakesItsRequestsAlong) {
  write_versions(2);
  const auto reader = open();
  for (int i = 0; i < 20; ++i) {
    std::vector<Bytes> buffers(8, Bytes(256U << 10));
    std::size_t left = buffers.size();
    Flight flight;
    flight.left = &left;
    const auto queue = reader->open_queue();
    for (std::size_t at = 0; at < buffers.size(); ++at) {
      queue->read(at << 18, buffers[at], flight);
    }
  }
  EXPECT_TRUE(read(*reader, 0, k_size) == m_lab->content());
}

}  // namespace
}  // namespace hamal::repository
