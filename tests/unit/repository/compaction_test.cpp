// Compactions on a repository that nobody else works on, and where records are looked for then.
#include "hamal/repository/compaction.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "hamal/repository/prune_round.hpp"
#include "hamal/repository/version_reader.hpp"
#include "memory_store.hpp"
#include "repository/encrypted.hpp"
#include "simulated_store.hpp"
#include "small_writer.hpp"
#include "spy_store.hpp"
#include "util/temporary_directory.hpp"

namespace hamal::repository {
namespace {

using test::Blocks;
using test::SmallWriter;

const VmName k_vm{"lab", "web01"};

PackName pack_of(unsigned session, std::uint32_t number) {
  PackName pack;
  pack.session[0] = static_cast<std::byte>(session);
  pack.number = number;
  return pack;
}

class CompactionTest : public testing::Test {
 protected:
  CompactionTest() {
    init_repository(*m_store, {});
    m_repository = open();
    m_writer = std::make_unique<SmallWriter>(*m_repository, m_directory / "layer");
  }
  std::unique_ptr<Repository> open() {
    return open_repository(
        std::make_unique<test::SimulatedStore>(m_world, m_store, test::View::plain), Config{});
  }
  KeepingContext context() { return {*m_repository, m_log, m_cancel, system_clock(), 1}; }
  CompactionOptions options() {
    CompactionOptions options;
    options.scratch = m_directory.path();
    return options;
  }
  void write(const Blocks& blocks) {
    m_writer->run(
        k_vm, [&](const Blocks& /*before*/) { return blocks; }, [](auto&&...) {});
  }
  Blocks read_newest(Repository& repository) {
    return SmallWriter::read_blocks(repository,
                                    repository.visible_versions(k_vm).back().disks.front());
  }
  void prune_all_but_one() {
    PruneOptions options;
    options.keep.last = 1;
    EXPECT_FALSE(prune(context(), options).waits);
  }
  std::size_t count(const std::string& prefix) {
    std::size_t objects = 0;
    m_store->list(prefix, [&](const ObjectInfo& /*object*/) { ++objects; });
    return objects;
  }

  hamal::test::TemporaryDirectory m_directory;
  test::World m_world{1, {}};
  std::shared_ptr<hamal::test::MemoryStore> m_store = std::make_shared<hamal::test::MemoryStore>();
  CancelToken m_cancel;
  Logger m_log;
  std::unique_ptr<Repository> m_repository;
  std::unique_ptr<SmallWriter> m_writer;
};

TEST_F(CompactionTest, EmptiesSparsePacksAndPruneDeletesThem) {
  write({1, 2, 3, 4});
  write({1, 5, 6, 7});
  const auto reader = open();
  EXPECT_EQ(read_newest(*reader), (Blocks{1, 5, 6, 7}));
  prune_all_but_one();
  EXPECT_EQ(count("packs/"), 2U);
  EXPECT_EQ(plan_compaction(context(), options()).sparse_packs, 1U);
  EXPECT_EQ(count("compactions/"), 0U);
  const CompactionReport report = compact(context(), options());
  EXPECT_EQ(report.packs, 2U);
  EXPECT_EQ(report.sparse_packs, 1U);
  EXPECT_EQ(report.new_packs, 1U);
  EXPECT_LT(report.live_bytes * 2, report.sparse_bytes);
  EXPECT_EQ(count("packs/"), 3U) << "nothing is deleted";
  prune_all_but_one();
  EXPECT_EQ(count("packs/"), 2U);
  // One who has read the compactions before this one finds the pack gone, and looks again.
  EXPECT_EQ(read_newest(*reader), (Blocks{1, 5, 6, 7}));
}

// Break it: let a reader give up on a pack that somebody else has looked for.
TEST_F(CompactionTest, WhatWasMovedIsFoundByAllWhoReadAtThatMoment) {
  write({1, 2, 3, 4});
  write({1, 5, 6, 7});
  const std::shared_ptr<Repository> repository = open();
  const auto disk = repository->visible_versions(k_vm).back().disks.front();
  const auto reader = open_version_reader(
      repository, {"memory:", "disk 0", disk.size, repository->open_layers(disk)});
  Bytes bytes(test::k_block);
  reader->read(test::k_block, bytes);  // from now on it believes that nothing was moved
  prune_all_but_one();
  ASSERT_EQ(compact(context(), options()).sparse_packs, 1U);
  prune_all_but_one();
  // Somebody else finds it missing, too, and is quicker.
  m_store->on_get = [&](const std::string& key) {
    if (!m_store->head(key)) {
      repository->look_again(parse_pack_key(key).value());
    }
  };
  std::atomic<int> right{0};
  {
    std::vector<std::jthread> readers;
    for (int i = 0; i < 8; ++i) {
      readers.emplace_back([&] {
        Bytes read(test::k_block);
        reader->read(0, read);
        right += read == test::block_content(1) ? 1 : 0;
      });
    }
  }
  EXPECT_EQ(right, 8);
}

TEST_F(CompactionTest, MovesFollowEachOther) {
  write({1, 2, 3, 4});
  write({1, 5, 6, 7});
  prune_all_but_one();
  compact(context(), options());
  prune_all_but_one();
  CompactionOptions all = options();
  all.sparse_percent = 100;
  EXPECT_GT(compact(context(), all).new_packs, 0U);
  prune_all_but_one();
  EXPECT_EQ(read_newest(*m_repository), (Blocks{1, 5, 6, 7}));
  EXPECT_EQ(count("packs/"), 1U);
}

TEST_F(CompactionTest, WhatNothingNeedsAnyMoreBecomesATombstone) {
  write({1, 2, 3, 4});
  write({1, 5, 6, 7});
  prune_all_but_one();
  compact(context(), options());
  write({8, 5, 6, 7});
  prune_all_but_one();
  EXPECT_TRUE(m_repository->read_moves()->numbers().empty());
  EXPECT_EQ(count("compactions/"), 1U) << "its number is never free again";
  EXPECT_EQ(read_newest(*m_repository), (Blocks{8, 5, 6, 7}));
}

// Two that begin at the same moment take one slot: the second sees it when it looks once more,
// before anything is copied. Break it: leave out the second look at compactions/ in compact().
TEST_F(CompactionTest, ASlotThatAnotherFilledMeanwhileIsSeenBeforeAnythingIsCopied) {
  write({1, 2, 3, 4});
  write({1, 5, 6, 7});
  prune_all_but_one();
  ASSERT_EQ(plan_compaction(context(), options()).sparse_packs, 1U);
  hamal::test::StoreSpy spy;
  const auto late = open_repository(
      std::make_unique<hamal::test::SpyStore>(
          std::make_unique<test::SimulatedStore>(m_world, m_store, test::View::plain), spy),
      Config{});
  // Once it has chosen its slot the other one, which was quicker, fills it.
  spy.before_put = [&](const std::string& key) {
    if (key.starts_with("sessions/")) {
      compact(context(), options());
    }
  };
  EXPECT_THROW(compact({*late, m_log, m_cancel, system_clock(), 1}, options()), Error);
  EXPECT_EQ(spy.count("packs"), 0U) << "nothing was copied for a slot that was gone";
  EXPECT_EQ(count("compactions/"), 1U);
  EXPECT_EQ(read_newest(*m_repository), (Blocks{1, 5, 6, 7}));
}

TEST_F(CompactionTest, DamagedRecordsStayWhereTheyAre) {
  write({1, 2, 3, 4});
  write({1, 5, 6, 7});
  prune_all_but_one();
  RecordPlace damaged;
  for (const auto& layer :
       m_repository->open_layers(m_repository->visible_versions(k_vm).back().disks.front())) {
    LayerEntry entry;
    for (const auto entries = layer->entries(); entries->next(entry);) {
      damaged = entry.extent.offset == 0 ? entry.place : damaged;
    }
  }
  m_store->object(pack_key(damaged.pack)).at(damaged.offset + k_record_header_bytes - 1) ^=
      std::byte{1};
  const CompactionReport report = compact(context(), options());
  EXPECT_EQ(report.damaged, 1U);
  EXPECT_EQ(report.new_packs, 0U);
}

/// Written with all keys, kept with the index key alone.
class SealedCompactionTest : public CompactionTest {
 protected:
  SealedCompactionTest() {
    m_store = std::make_shared<hamal::test::MemoryStore>();
    init_repository(*m_store, {{k_alice.public_key}, proxy_keys()});
    m_reader = open_with(reader_keys());
    m_writer = std::make_unique<SmallWriter>(*m_reader, m_directory / "layer");
    m_repository = open_with(proxy_keys());
  }
  std::unique_ptr<Repository> open_with(const RepositorySection& keys) {
    Config config;
    config.repository = keys;
    return open_repository(
        std::make_unique<test::SimulatedStore>(m_world, m_store, test::View::plain), config);
  }
  /// The bodies of all records, as they are stored.
  std::multiset<std::string> bodies() {
    std::multiset<std::string> all;
    std::vector<std::string> keys;
    m_store->list("packs/", [&](const ObjectInfo& object) { keys.push_back(object.key); });
    for (const std::string& key : keys) {
      const std::string pack = m_store->get(key, 1U << 20);
      scan_pack(bytes_of(pack), key,
                [&](std::uint64_t offset, const RecordHeader& header, ByteView /*stored*/) {
                  all.insert(pack.substr(offset + k_record_header_bytes, header.body_length));
                });
    }
    return all;
  }
  std::unique_ptr<Repository> m_reader;
};

TEST_F(SealedCompactionTest, MovesWhatIsSealedAsItIsWithoutThePrivateKey) {
  write({1, 2, 3, 4});
  write({1, 5, 6, 7});
  write({1, 5, 8, 9});
  EXPECT_FALSE(m_repository->keyring().can_read_records());
  PruneOptions keep;
  keep.keep.last = 2;
  EXPECT_FALSE(prune(context(), keep).waits);
  const auto before = bodies();
  CompactionOptions all = options();
  all.sparse_percent = 101;
  const CompactionReport report = compact(context(), all);
  EXPECT_EQ(report.sparse_packs, 3U);
  EXPECT_EQ(report.new_packs, 1U) << "of records under three data keys";
  EXPECT_FALSE(prune(context(), keep).waits);
  EXPECT_EQ(count("packs/"), 1U);
  // Six records are needed of the nine that there were. Sealed anew, each would be another text.
  const auto after = bodies();
  EXPECT_EQ(after.size(), 6U);
  EXPECT_TRUE(std::includes(before.begin(), before.end(), after.begin(), after.end()));
  const auto reader = open_with(reader_keys());
  const auto versions = reader->visible_versions(k_vm);
  ASSERT_EQ(versions.size(), 2U);
  EXPECT_EQ(SmallWriter::read_blocks(*reader, versions[0].disks.front()), (Blocks{1, 5, 6, 7}));
  EXPECT_EQ(SmallWriter::read_blocks(*reader, versions[1].disks.front()), (Blocks{1, 5, 8, 9}));
}

TEST_F(CompactionTest, ObjectsReadBackAndNothingElseDoes) {
  const auto keyring = make_plain_keyring();
  Compaction compaction;
  compaction.session[3] = std::byte{9};
  compaction.packs[pack_of(1, 0)] = {{16, 0, 16}, {5000, 0, 300}, {4000000000, 1, 16}};
  compaction.packs[pack_of(1, 7)] = {{0, 2, 0}};
  const std::string bytes = to_bytes(compaction, "compactions/1", *keyring);
  EXPECT_EQ(parse_compaction(bytes, "compactions/1", *keyring), compaction);
  EXPECT_THROW(parse_compaction(bytes, "compactions/2", *keyring), Error);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 4);
    EXPECT_THROW(parse_compaction(damaged, "compactions/1", *keyring), Error) << i;
    EXPECT_THROW(parse_compaction(bytes.substr(0, i), "compactions/1", *keyring), Error) << i;
  }
  compaction.packs[pack_of(1, 8)] = {{5, 0, 0}, {5, 0, 9}};
  EXPECT_THROW(
      parse_compaction(to_bytes(compaction, "compactions/1", *keyring), "compactions/1", *keyring),
      Error);
}

TEST_F(CompactionTest, APlaceIsLookedUpThroughAllMoves) {
  Moves moves(m_directory.path());
  Compaction first;
  first.session[0] = std::byte{2};
  first.packs[pack_of(1, 0)] = {{16, 3, 100}, {50, 3, 200}};
  moves.add(4, first);
  Compaction second;
  second.session[0] = std::byte{3};
  second.packs[pack_of(2, 3)] = {{200, 0, 16}};
  moves.add(6, second);
  std::set<std::uint64_t> used;
  EXPECT_EQ(moves.current({pack_of(1, 0), 50, 80}, &used), (RecordPlace{pack_of(3, 0), 16, 80}));
  EXPECT_EQ(used, (std::set<std::uint64_t>{4, 6}));
  used.clear();
  EXPECT_EQ(moves.current({pack_of(1, 0), 16, 80}, &used), (RecordPlace{pack_of(2, 3), 100, 80}));
  EXPECT_EQ(used, std::set<std::uint64_t>{4});
  EXPECT_EQ(moves.current({pack_of(1, 0), 17, 80}), (RecordPlace{pack_of(1, 0), 17, 80}));
}

}  // namespace
}  // namespace hamal::repository
