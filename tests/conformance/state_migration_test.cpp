// Versions of the tables: an older database is brought up to date by whoever comes first, a newer
// one is used as long as it says so, and what a version changes only adds.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <regex>

#include "hamal/state/schema.hpp"
#include "hamal/state/state.hpp"
#include "hamal/util/error.hpp"
#include "state_databases.hpp"

namespace hamal::testing {
namespace {

class StateMigration : public ::testing::TestWithParam<StateKind> {
 protected:
  void SetUp() override {
    if (const std::string why = why_not(GetParam()); !why.empty()) {
      GTEST_SKIP() << why;
    }
    m_database = make_empty_database(GetParam());
  }

  void make_version_1() const {
    for (const char* statement : k_schema) {
      m_database->sql(statement);
    }
    m_database->sql("INSERT INTO meta (key, value) VALUES ('schema_version', '1')");
    m_database->sql("INSERT INTO checkpoints VALUES ('p','v','d','t','n','c','s',7,512,'w','u')");
    m_database->sql(
        "INSERT INTO in_progress VALUES ('p','v','d','t','full','','c','s','/plan','now')");
  }

  // Each in a process of its own; all of them must succeed.
  template <typename Work>
  void in_processes(int count, Work work) {
    std::vector<pid_t> children;
    for (int i = 0; i < count; ++i) {
      const pid_t child = ::fork();
      if (child == 0) {
        try {
          work();
          ::_exit(0);
        } catch (const std::exception& error) {
          std::fputs(error.what(), stderr);
          ::_exit(1);
        }
      }
      children.push_back(child);
    }
    for (const pid_t child : children) {
      int status = -1;
      ::waitpid(child, &status, 0);
      EXPECT_EQ(status, 0);
    }
  }

  void refused_with(const std::string& words) const {
    try {
      m_database->open();
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::failed);
      EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
    }
  }

  std::unique_ptr<StateDatabase> m_database;
};

TEST_P(StateMigration, ADatabaseOfVersion1IsMigratedWithWhatItHolds) {
  make_version_1();
  const auto state = m_database->open();
  const DiskIdentity identity{"p", "v", "d", "t"};
  EXPECT_EQ(state->find_checkpoint(identity)->generation, 7U);
  EXPECT_EQ(state->find_checkpoint(identity)->disk_flag, "");
  EXPECT_EQ(state->find_in_progress(identity)->plan_path, "/plan");
  EXPECT_FALSE(state->find_in_progress(identity)->target_created);
  EXPECT_EQ(state->find_in_progress(identity)->restore_path, "");
  state->record_finished(identity, {{0, 512, ExtentKind::data}});
  EXPECT_EQ(m_database->open()->find_in_progress(identity)->finished.size(), 1U);
  EXPECT_TRUE(state->list_runs().empty());
}

// The insert is that of a hamal of version 1.
TEST_P(StateMigration, AnOlderHamalWritesToTheTablesOfThisOne) {
  m_database->open();
  m_database->sql(
      "INSERT INTO checkpoints (platform, vm_id, disk_id, target, vm_name, change_id, snapshot_id, "
      "generation, size, committed, target_uri) VALUES "
      "('p','v','d','t','n','c','s',7,512,'w','u')");
  m_database->sql(
      "INSERT INTO in_progress (platform, vm_id, disk_id, target, mode, base_change_id, change_id, "
      "snapshot_id, plan_path, started) VALUES ('p','v','d','t','full','','c','s','/plan','now')");
  const auto state = m_database->open();
  EXPECT_EQ(state->find_checkpoint({"p", "v", "d", "t"})->generation, 7U);
  EXPECT_EQ(state->find_in_progress({"p", "v", "d", "t"})->plan_path, "/plan");
}

// One that takes no leases must not work beside those that do; on one host there are none to take.
// Break it: store one version for both kinds.
TEST_P(StateMigration, AHamalThatKnowsNoLeasesIsKeptFromAStateThatIsShared) {
  make_version_1();
  const bool shared = m_database->open()->shared();
  const std::string oldest = std::to_string(shared ? k_oldest_hamal_shared : k_oldest_hamal);
  // Meets the key that is there already when the value is another.
  EXPECT_NO_THROW(m_database->sql(
      "INSERT INTO meta (key, value) SELECT 'schema_version', value FROM meta WHERE key = "
      "'schema_oldest_hamal' AND value <> '" +
      oldest + "'"));
  EXPECT_GE(k_oldest_hamal_shared, 5);
  EXPECT_LT(k_oldest_hamal, 5);
}

TEST_P(StateMigration, ManyProcessesMayOpenANewDatabaseAtOnce) {
  in_processes(8, [&] { m_database->open()->installation_id(); });
}

TEST_P(StateMigration, ManyProcessesMayMigrateAtOnce) {
  make_version_1();
  in_processes(4, [&] {
    if (!m_database->open()->list_runs().empty()) {
      throw std::runtime_error("runs from nowhere");
    }
  });
  EXPECT_EQ(m_database->open()->list_checkpoints().size(), 1U);
}

TEST_P(StateMigration, ANewerDatabaseIsUsedOnlyWhileItSaysSo) {
  m_database->open();
  m_database->sql("UPDATE meta SET value = '99' WHERE key = 'schema_version'");
  m_database->open();
  m_database->sql("UPDATE meta SET value = '99' WHERE key = 'schema_oldest_hamal'");
  refused_with("update hamal");
  m_database->sql("DELETE FROM meta WHERE key = 'schema_oldest_hamal'");
  refused_with("update hamal");
}

TEST_P(StateMigration, AVersionThatIsNoneIsNamed) {
  m_database->open();
  m_database->sql("UPDATE meta SET value = 'x' WHERE key = 'schema_version'");
  refused_with("changed by something else");
}

INSTANTIATE_TEST_SUITE_P(Databases, StateMigration,
                         ::testing::Values(StateKind::sqlite, StateKind::postgresql),
                         [](const auto& parameter) { return to_string(parameter.param); });

// Else an older hamal would fail on what it does not know.
TEST(StateSchema, MigrationsOnlyAdd) {
  const std::regex adds(
      R"((CREATE TABLE \w+ \()|(CREATE INDEX )|(ALTER TABLE \w+ ADD COLUMN .*NOT NULL DEFAULT ).*)");
  for (const auto& migration : k_migrations) {
    for (const char* statement : migration) {
      if (statement != nullptr) {
        EXPECT_TRUE(std::regex_search(statement, adds, std::regex_constants::match_continuous))
            << statement;
      }
    }
  }
}

}  // namespace
}  // namespace hamal::testing
