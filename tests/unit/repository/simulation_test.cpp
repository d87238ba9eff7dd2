// Writers, prunes, compactions and readers on one repository at once, killed at any point, with
// lists that are behind: many random schedules, each of which its seed makes again. What a visible
// version holds must be what its run wrote, at any time.
//
// More schedules than the tests make: HAMAL_SIMULATION_RUNS=100000; the same again:
// HAMAL_SIMULATION_SEED=S HAMAL_SIMULATION_RUNS=1.
//
// That the schedules find a writer that breaks the protocol is tested when thousands are asked for.
// Not found in some 3,000: one that lists packs before what is condemned (a whole round must fit in
// between; the model finds it), and one that shares records from where a compaction took them.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include "hamal/repository/compaction.hpp"
#include "hamal/repository/prune_round.hpp"
#include "hamal/store/directory_store.hpp"
#include "memory_store.hpp"
#include "simulated_store.hpp"
#include "small_writer.hpp"
#include "util/temporary_directory.hpp"

namespace hamal::repository {
namespace {

using test::Blocks;
using test::SimulatedStore;
using test::SmallWriter;
using test::View;
using test::World;
using test::WriterBreak;

const std::vector<VmName> k_vms = {{"lab", "web01"}, {"lab", "db01"}};

/// In memory where the system has such a place: the schedule is the same anywhere.
std::filesystem::path scratch_directory() {
  std::string name = (std::filesystem::exists("/dev/shm") ? "/dev/shm" : "/tmp");
  name += "/hamal-simulation-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) {
    throw std::runtime_error("mkdtemp failed");
  }
  return name;
}

/// One schedule. What is chosen before it begins and what is chosen on the way come from one seed.
class Simulation {
 public:
  Simulation(std::filesystem::path directory, std::uint64_t seed, bool lag, WriterBreak broken)
      : m_directory(std::move(directory)),
        m_choices(seed),
        m_world(seed + 1, settings(lag)),
        m_broken(broken) {
    // One in eight in a directory, the others where a schedule costs a tenth of the time.
    if (seed % 8 == 0) {
      m_store = open_directory_store("dir:repo", (m_directory / "repo").string(), m_cancel);
    } else {
      m_store = std::make_shared<hamal::test::MemoryStore>();
    }
    init_repository(*m_store, {});
    // What there is before.
    const auto repository = open(View::plain);
    SmallWriter writer(*repository, m_directory / "layer");
    write(writer, k_vms[0]);
    write(writer, k_vms[0]);
  }

  /// What is wrong; empty: nothing.
  std::string run() {
    const std::size_t writers = 2 + choose(2);
    for (std::size_t i = 0; i < writers; ++i) {
      m_world.add([this, i] { protect(i); });
    }
    const std::size_t prunes = 1 + choose(2);
    for (std::size_t i = 0; i < prunes; ++i) {
      m_world.add([this] { prune_often(); });
    }
    if (choose(3) != 0) {
      m_world.add([this] { compact_often(); });
    }
    m_world.add([this] { restore_often(); });
    try {
      m_world.run();
    } catch (const Error& error) {
      return std::string("an actor failed: ") + error.what();
    }
    if (m_wrong.empty()) {
      check_end();
    }
    return m_wrong;
  }

 private:
  World::Settings settings(bool lag) {
    World::Settings settings;
    settings.switch_percent = 10 + 20 * static_cast<unsigned>(choose(5));
    settings.kill_permille = choose(3) == 0 ? 0 : 5;
    settings.lag = lag;
    return settings;
  }
  std::uint64_t choose(std::uint64_t count) { return m_choices() % count; }

  std::unique_ptr<Repository> open(View view = View::simulated) {
    return open_repository(std::make_unique<SimulatedStore>(m_world, m_store, view), Config{});
  }
  KeepingContext context(Repository& repository) {
    return {repository, m_log, m_cancel, system_clock(), 1};
  }
  SessionId new_session() {
    SessionId id{};
    for (std::byte& byte : id) {
      byte = static_cast<std::byte>(m_world.dice(256));
    }
    return id;
  }

  void write(SmallWriter& writer, const VmName& vm) {
    writer.new_session = [this] { return new_session(); };
    writer.run(
        vm,
        [this](Blocks blocks) {
          // Few contents, so that much is shared.
          for (std::uint64_t changes = 1 + m_world.dice(2); changes > 0; --changes) {
            blocks[m_world.dice(blocks.size())] = m_world.dice(6);
          }
          return blocks;
        },
        [this](const std::string& slot, const SessionId& session, const Blocks& blocks) {
          m_written[{slot, session}] = blocks;
        });
  }

  void protect(std::size_t number) {
    const auto repository = open();
    SmallWriter writer(*repository, m_directory / ("layer" + std::to_string(number)), m_broken);
    for (std::uint64_t runs = 1 + m_world.dice(3); runs > 0; --runs) {
      try {
        write(writer, k_vms[m_world.dice(k_vms.size())]);
      } catch (const Error& error) {
        // A run may fail when its base is dropped while it reads it, or a pack goes that a list
        // still showed; what counts is what is visible.
        if (error.kind() != ErrorKind::failed) {
          throw;
        }
      }
    }
  }

  void prune_often() {
    const auto repository = open();
    for (std::uint64_t runs = 1 + m_world.dice(3); runs > 0; --runs) {
      PruneOptions options;
      options.keep.last = 1 + static_cast<unsigned>(m_world.dice(2));
      options.abort_after = std::chrono::hours(m_world.dice(2) == 0 ? 0 : 24);
      prune(context(*repository), options);
    }
  }

  void compact_often() {
    const auto repository = open();
    for (std::uint64_t runs = 1 + m_world.dice(2); runs > 0; --runs) {
      CompactionOptions options;
      options.sparse_percent = 90;
      options.scratch = m_directory;
      options.new_session = [this] { return new_session(); };
      try {
        compact(context(*repository), options);
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::busy && error.kind() != ErrorKind::failed) {
          throw;
        }
      }
    }
  }

  void restore_often() {
    const auto repository = open();
    for (std::uint64_t runs = 1 + m_world.dice(4); runs > 0; --runs) {
      check_versions(*repository);
    }
  }

  void check_versions(Repository& repository) {
    for (const VmName& vm : k_vms) {
      for (const Manifest& version : repository.visible_versions(vm)) {
        check_version(repository, version);
      }
    }
  }

  void check_version(Repository& repository, const Manifest& version) {
    const std::string slot = slot_key(version.vm, version.generation);
    try {
      if (SmallWriter::read_blocks(repository, version.disks.front()) !=
          m_written.at({slot, version.session})) {
        m_wrong = slot + " holds something else than was written";
      }
    } catch (const Error& error) {
      // Unless it was dropped while it was read.
      if (!open(View::plain)->condemned().versions.contains(slot)) {
        m_wrong = slot + " is visible, and: " + error.what();
      }
    }
  }

  void check_end() {
    const auto repository = open(View::plain);
    check_versions(*repository);
    if (!m_wrong.empty()) {
      return;
    }
    // Whatever was begun can be ended by somebody else, and nothing is left that is not needed.
    PruneOptions options;
    options.keep.last = 1;
    options.abort_after = std::chrono::seconds(0);
    const std::size_t most = 4;
    for (std::size_t i = 0; plan_prune(context(*repository), options).round != CondemnedRound{} ||
                            !read_round_numbers(repository->store()).pending.empty();
         ++i) {
      if (i == most) {
        m_wrong = "prune finds no end";
        return;
      }
      prune(context(*repository), options);
    }
    check_versions(*repository);
    const Need need = current_need(context(*repository));
    std::set<PackName> packs;
    repository->store().list("packs/", [&](const ObjectInfo& object) {
      packs.insert(parse_pack_key(object.key).value());
    });
    for (const PackName& pack : packs) {
      if (!repository->store().head(session_key(pack.session)) && m_wrong.empty()) {
        m_wrong = "nobody may share " + pack_key(pack) + ": its session's object is gone";
      }
    }
    if (packs != need.packs && m_wrong.empty()) {
      m_wrong = "there are other packs than are needed";
    }
  }

  std::filesystem::path m_directory;
  std::mt19937_64 m_choices;
  World m_world;
  WriterBreak m_broken;
  CancelToken m_cancel;
  Logger m_log;
  std::shared_ptr<ObjectStore> m_store;
  std::map<std::pair<std::string, SessionId>, Blocks> m_written;
  std::string m_wrong;
};

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets any
  return text == nullptr ? otherwise : std::stoull(text);
}

/// What the first bad schedule does wrong; empty when all of them are good.
std::string first_wrong(std::uint64_t runs, bool lag, WriterBreak broken) {
  const std::uint64_t first = from_environment("HAMAL_SIMULATION_SEED", 1);
  for (std::uint64_t seed = first; seed < first + runs; ++seed) {
    const std::filesystem::path directory = scratch_directory();
    std::string wrong = Simulation(directory, seed, lag, broken).run();
    std::filesystem::remove_all(directory);
    if (!wrong.empty()) {
      return "HAMAL_SIMULATION_SEED=" + std::to_string(seed) + ": " + wrong;
    }
  }
  return {};
}

TEST(SimulationTest, EveryVisibleVersionRestores) {
  EXPECT_EQ(
      first_wrong(from_environment("HAMAL_SIMULATION_RUNS", 1200), false, WriterBreak::nothing),
      "");
}

TEST(SimulationTest, EveryVisibleVersionRestoresWhereListsAreBehind) {
  EXPECT_EQ(first_wrong(from_environment("HAMAL_SIMULATION_RUNS", 800), true, WriterBreak::nothing),
            "");
}

class BrokenWriterTest : public testing::TestWithParam<WriterBreak> {};

TEST_P(BrokenWriterTest, IsFound) {
  if (std::getenv("HAMAL_SIMULATION_RUNS") == nullptr) {  // NOLINT(concurrency-mt-unsafe)
    GTEST_SKIP() << "takes thousands of schedules: set HAMAL_SIMULATION_RUNS";
  }
  EXPECT_NE(first_wrong(from_environment("HAMAL_SIMULATION_RUNS", 0), false, GetParam()), "");
}

INSTANTIATE_TEST_SUITE_P(All, BrokenWriterTest,
                         testing::Values(WriterBreak::register_late,
                                         WriterBreak::ignores_condemned));

}  // namespace
}  // namespace hamal::repository
