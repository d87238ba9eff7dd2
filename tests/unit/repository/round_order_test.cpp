// The order in which a prune round, a compaction and a session do what the argument in
// hamal-repository(5) rests on: for each step what must be in the store before it.
//
// Break it: put the verdict, or done, elsewhere than where it is; delete packs before compactions
// have their tombstones; register after the list of what is condemned.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "hamal/repository/compaction.hpp"
#include "hamal/repository/prune_round.hpp"
#include "hamal/store/directory_store.hpp"
#include "small_writer.hpp"
#include "spy_store.hpp"
#include "util/temporary_directory.hpp"

namespace hamal::repository {
namespace {

using test::Blocks;

const VmName k_vm{"lab", "web01"};

class RoundOrderTest : public testing::Test {
 protected:
  RoundOrderTest() {
    auto store = std::make_unique<hamal::test::SpyStore>(
        open_directory_store("dir:repo", (m_directory / "repo").string(), m_cancel), m_spy);
    init_repository(*store, {});
    m_repository = open_repository(std::move(store), Config{});
    m_writer = std::make_unique<test::SmallWriter>(*m_repository, m_directory / "layer");
  }
  KeepingContext context() { return {*m_repository, m_log, m_cancel, system_clock(), 1}; }
  void write(const Blocks& blocks) {
    m_writer->run(
        k_vm, [&](const Blocks& /*before*/) { return blocks; }, [](auto&&...) {});
  }
  void prune_all_but_one() {
    PruneOptions options;
    options.keep.last = 1;
    ASSERT_FALSE(prune(context(), options).waits);
  }
  void compact_all() {
    CompactionOptions options;
    options.scratch = m_directory.path();
    ASSERT_EQ(compact(context(), options).sparse_packs, 1U);
  }
  /// Where the first (last) call that begins so is; fails when there is none.
  std::ptrdiff_t first(const std::string& call) {
    const auto& calls = m_spy.calls;
    const auto found = std::find_if(calls.begin(), calls.end(),
                                    [&](const std::string& one) { return one.starts_with(call); });
    EXPECT_NE(found, calls.end()) << call << " was not called";
    return found - calls.begin();
  }
  std::ptrdiff_t last(const std::string& call) {
    const auto& calls = m_spy.calls;
    const auto found = std::find_if(calls.rbegin(), calls.rend(),
                                    [&](const std::string& one) { return one.starts_with(call); });
    EXPECT_NE(found, calls.rend()) << call << " was not called";
    return calls.rend() - found - 1;
  }

  /// list_lag was, between two calls.
  bool waited(std::ptrdiff_t begin, std::ptrdiff_t end) {
    const auto calls = m_spy.calls.begin();
    return std::find(calls + begin, calls + end, "lag") != calls + end;
  }

  hamal::test::TemporaryDirectory m_directory;
  hamal::test::StoreSpy m_spy;
  CancelToken m_cancel;
  Logger m_log;
  std::unique_ptr<Repository> m_repository;
  std::unique_ptr<test::SmallWriter> m_writer;
};

TEST_F(RoundOrderTest, OfAPruneRound) {
  write({1, 2, 3, 4});
  write({1, 5, 6, 7});
  prune_all_but_one();
  compact_all();
  prune_all_but_one();
  write({8, 9, 10, 11});
  m_spy.calls.clear();
  prune_all_but_one();
  // From here on writers know what is condemned; only then is it asked who may not.
  EXPECT_LT(last("put condemned/"), last("list sessions/"));
  EXPECT_TRUE(waited(last("put condemned/"), last("list sessions/")));
  EXPECT_LT(last("list sessions/"), first("put awaited/"));
  // What is needed is read when all of those are over, and nothing goes before it is written down.
  EXPECT_LT(first("put awaited/"), last("list versions/"));
  EXPECT_LT(last("list versions/"), first("put verdicts/"));
  EXPECT_TRUE(waited(first("put awaited/"), last("list versions/")));
  const std::ptrdiff_t verdict = first("put verdicts/");
  for (const char* call : {"put compactions/", "put versions/", "remove packs/", "remove layers/",
                           "remove sessions/", "remove staged/"}) {
    EXPECT_LT(verdict, first(call)) << call;
    EXPECT_LT(last(call), first("put done/")) << call;
    EXPECT_TRUE(waited(last(call), first("put done/"))) << call;
  }
  // A record that a compaction moved is read from its new pack as long as the compaction is seen,
  // and a version as long as it is.
  EXPECT_LT(last("put compactions/"), first("remove packs/"));
  EXPECT_LT(last("put versions/"), first("remove packs/"));
  EXPECT_LT(last("put versions/"), first("remove layers/"));
  // By its session a writer knows that a pack may be shared.
  EXPECT_LT(last("remove packs/"), first("remove sessions/"));
}

// A pack whose session is not listed afterwards belongs to one that was over before; a session that
// was over before anything was listed has put no pack that is not listed.
TEST_F(RoundOrderTest, OfTheLists) {
  write({1, 2, 3, 4});
  m_spy.calls.clear();
  const KeepingContext keeping = context();
  const Inventory inventory(keeping);
  EXPECT_THAT(m_spy.calls,
              testing::ElementsAre("list versions/", "list compactions/", "lag", "list packs/",
                                   "list layers/", "list staged/", "list beats/", "lag",
                                   "list sessions/", "list versions/", "list compactions/"));
  // A round that ends meanwhile is one too many, never one too few.
  m_spy.calls.clear();
  read_round_numbers(m_repository->store());
  EXPECT_THAT(m_spy.calls, testing::ElementsAre("list done/", "list condemned/"));
  m_spy.calls.clear();
  m_repository->condemned();
  EXPECT_THAT(m_spy.calls, testing::ElementsAre("lag", "list done/", "list condemned/"));
}

TEST_F(RoundOrderTest, NothingOfAnOpenSessionIsCondemned) {
  write({1, 2, 3, 4});
  const SessionObject open{random_session_id(), slot_key(k_vm, 2), "2026-01-01T00:00:00Z", "other"};
  ObjectStore& store = m_repository->store();
  store.put(session_key(open.id), bytes_of(to_text(open)));
  store.put(beat_key(open.id), {});
  store.put(pack_key({open.id, 0}), {});
  store.put(layer_key(open.id, 0, 0), {});
  store.put(staged_key(open.id, 0), {});
  PruneOptions options;
  options.keep.last = 1;
  const std::string mine = to_hex(open.id);
  CondemnedRound round = plan_prune(context(), options).round;
  EXPECT_FALSE(round.packs.contains({open.id, 0}));
  for (const std::string& key : round.objects) {
    EXPECT_EQ(key.find(mine), std::string::npos) << key;
  }
  // Once it is over all of it is.
  store.put(open.slot, bytes_of(to_text(Tombstone{}, open.slot, m_repository->keyring())));
  round = plan_prune(context(), options).round;
  EXPECT_TRUE(round.packs.contains({open.id, 0}));
  EXPECT_TRUE(round.objects.contains(layer_key(open.id, 0, 0)));
  EXPECT_TRUE(round.objects.contains(staged_key(open.id, 0)));
  EXPECT_TRUE(round.objects.contains(beat_key(open.id)));
  EXPECT_TRUE(round.objects.contains(session_key(open.id)));
}

TEST_F(RoundOrderTest, OfACompaction) {
  write({1, 2, 3, 4});
  write({1, 5, 6, 7});
  prune_all_but_one();
  m_spy.calls.clear();
  compact_all();
  const std::ptrdiff_t registered = first("put sessions/");
  EXPECT_LT(registered, first("list condemned/"));
  EXPECT_LT(registered, first("put beats/"));
  // Compactions know all before them: the number is looked for again once it cannot be lost.
  EXPECT_LT(first("list condemned/"), last("list compactions/"));
  EXPECT_LT(first("list condemned/"), first("list packs/"));
  EXPECT_LT(last("list packs/"), first("put packs/"));
  // What was moved is there before anybody is told, and old packs are condemned by a later prune.
  EXPECT_LT(last("put packs/"), first("put compactions/"));
  EXPECT_EQ(first("put compactions/") + 1, static_cast<std::ptrdiff_t>(m_spy.calls.size()));
}

TEST(VerdictTest, SparesWhatIsNeededAndByWhatItIsKnown) {
  SessionId packs_of{};
  SessionId layers_of{};
  SessionId nothing_of{};
  packs_of[0] = std::byte{1};
  layers_of[0] = std::byte{2};
  nothing_of[0] = std::byte{3};
  CondemnedRound condemned;
  for (const SessionId& session : {packs_of, layers_of, nothing_of}) {
    condemned.packs.insert({session, 0});
    condemned.packs.insert({session, 1});
    condemned.objects.insert(session_key(session));
    condemned.objects.insert(layer_key(session, 0, 0));
  }
  condemned.objects.insert(compaction_key(1));
  condemned.objects.insert(compaction_key(2));
  Need need;
  need.packs = {{packs_of, 1}};
  need.objects = {layer_key(layers_of, 0, 0), compaction_key(2)};
  const CondemnedRound verdict = verdict_of(condemned, need);
  EXPECT_TRUE(verdict.packs.contains({packs_of, 0}));
  EXPECT_FALSE(verdict.packs.contains({packs_of, 1}));
  EXPECT_EQ(verdict.packs.size(), 5U);
  EXPECT_THAT(verdict.objects,
              testing::UnorderedElementsAre(layer_key(packs_of, 0, 0), session_key(nothing_of),
                                            layer_key(nothing_of, 0, 0), compaction_key(1)));
}

}  // namespace
}  // namespace hamal::repository
