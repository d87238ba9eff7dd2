// What can go wrong with a server, and what an operator reads then.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "hamal/state/state.hpp"
#include "hamal/util/error.hpp"
#include "servers.hpp"
#include "state_databases.hpp"

namespace hamal::testing {
namespace {

class StatePostgresql : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = why_not(StateKind::postgresql); !why.empty()) {
      GTEST_SKIP() << why;
    }
    m_database = make_empty_database(StateKind::postgresql);
  }

  static void expect_refused(const std::string& url, const std::string& password, ExitStatus status,
                             const std::string& words) {
    try {
      open_state(url, password);
      FAIL() << url;
    } catch (const Error& error) {
      EXPECT_EQ(exit_status(error), status) << error.what();
      EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
      EXPECT_EQ(std::string(error.what()).find("hidden"), std::string::npos) << error.what();
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    }
  }

  static std::string url(const std::string& user, const std::string& database,
                         const std::string& more = {}) {
    return "postgresql://" + user + "@/" + database + "?host=" + postgresql_directory() + more;
  }

  std::unique_ptr<StateDatabase> m_database;
};

TEST_F(StatePostgresql, EachReasonForNoConnectionIsNamed) {
  expect_refused(url("hamal:hidden", "hamal"), "", ExitStatus::usage, "refuses the password");
  expect_refused(url("hamal", "hamal"), "hidden", ExitStatus::usage, "refuses the password");
  expect_refused(url("hamal", "hamal"), "", ExitStatus::usage, "wants a password");
  expect_refused(url("postgres", "nowhere"), "", ExitStatus::usage, "no such state database");
  expect_refused(url("nobody:hidden", "hamal"), "", ExitStatus::usage, "refuses the password");
  expect_refused("postgresql://hamal@/hamal?host=/nowhere", "hidden", ExitStatus::temporary,
                 "cannot be reached");
  expect_refused("postgresql://hamal@127.0.0.1:1/hamal", "hidden", ExitStatus::temporary,
                 "cannot be reached");
  expect_refused(url("hamal:hidden", "hamal", "&nonsense=1"), "", ExitStatus::usage, "nonsense");
  expect_refused("postgresql://hamal:hidden@[::1/hamal", "", ExitStatus::usage, "not a connection");
}

TEST_F(StatePostgresql, AStandbyIsTemporary) {
  // What a standby's sessions look like, without one.
  postgresql_sql("CREATE DATABASE standby OWNER hamal");
  postgresql_sql("ALTER DATABASE standby SET default_transaction_read_only = on");
  expect_refused(url("hamal", "standby"), "hamal-secret", ExitStatus::temporary, "takes no writes");
  expect_refused(url("hamal", "standby", "&target_session_attrs=any"), "hamal-secret",
                 ExitStatus::temporary, "takes no writes");
}

TEST_F(StatePostgresql, ARoleWithoutRightsIsToldWhich) {
  postgresql_sql("CREATE ROLE guest LOGIN PASSWORD 'guest'");
  postgresql_sql("CREATE SCHEMA guests");
  postgresql_sql("GRANT USAGE ON SCHEMA guests TO guest");
  expect_refused(url("guest", "hamal", "&options=-csearch_path%3Dguests"), "guest",
                 ExitStatus::usage, "GRANT USAGE ON SCHEMA");
}

// Break it: give one hint for all that is denied.
TEST_F(StatePostgresql, WhatIsReallyLackingIsNamed) {
  m_database->open();
  const std::string ours = m_database->connection();
  const std::string schema = ours.substr(ours.rfind("%3D") + 3);
  postgresql_sql("CREATE ROLE reader LOGIN PASSWORD 'reader'");
  const std::string as_reader = url("reader", "hamal", "&options=-csearch_path%3D" + schema);
  postgresql_sql("GRANT USAGE ON SCHEMA " + schema + " TO reader");
  expect_refused(as_reader, "reader", ExitStatus::usage, "GRANT SELECT, INSERT, UPDATE, DELETE");
  expect_refused(as_reader, "reader", ExitStatus::usage, "not allowed on table meta");
  postgresql_sql("GRANT SELECT ON ALL TABLES IN SCHEMA " + schema + " TO reader");
  const auto state = open_state(as_reader, "reader");
  try {
    state->put_snapshot({"p", "v", "s", "intended", "now", ""});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("not allowed on table snapshots"), std::string::npos)
        << error.what();
  }
}

// hamal(7), SEVERAL PROXIES: what a role needs once the tables are there.
TEST_F(StatePostgresql, ARoleNeedsNoMoreThanToReadAndChangeRows) {
  const std::string ours = m_database->connection();
  m_database->open();
  const std::string schema = ours.substr(ours.rfind("%3D") + 3);
  postgresql_sql("CREATE ROLE worker LOGIN PASSWORD 'worker'");
  postgresql_sql("GRANT USAGE ON SCHEMA " + schema + " TO worker");
  postgresql_sql("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA " + schema +
                 " TO worker");
  const auto state =
      open_state(url("worker", "hamal", "&options=-csearch_path%3D" + schema), "worker");
  EXPECT_EQ(state->installation_id(), m_database->open()->installation_id());
  state->put_snapshot({"p", "v", "s", "intended", "now", ""});
  EXPECT_EQ(state->list_snapshots().size(), 1U);
}

TEST_F(StatePostgresql, ACutConnectionIsOpenedAgain) {
  const auto state = m_database->open();
  state->installation_id();
  Checkpoint checkpoint;
  checkpoint.identity = {"p", "v", "d", "t"};
  checkpoint.generation = 1;
  const auto cut = [] {
    postgresql_sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'hamal'");
  };
  cut();
  state->commit_checkpoint(checkpoint);
  cut();
  EXPECT_EQ(state->list_checkpoints().size(), 1U);
  cut();
  EXPECT_TRUE(state->forget_checkpoint(checkpoint.identity));
}

TEST_F(StatePostgresql, ATextThatIsNoUtf8IsRefusedWithTheReason) {
  const auto state = m_database->open();
  try {
    state->put_snapshot({"p", "v", "\xff", "intended", "now", ""});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("UTF-8"), std::string::npos) << error.what();
  }
  EXPECT_TRUE(state->list_snapshots().empty());
}

TEST_F(StatePostgresql, CommitsAreDurableWhateverTheServersDefault) {
  postgresql_sql("ALTER ROLE hamal SET synchronous_commit = off");
  m_database->sql(
      "CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF "
      "current_setting('synchronous_commit') <> 'on' THEN RAISE 'not durable'; END IF; RETURN NEW; "
      "END $$");
  const auto state = m_database->open();
  m_database->sql(
      "CREATE TRIGGER look BEFORE INSERT ON snapshots FOR EACH ROW EXECUTE FUNCTION look()");
  state->put_snapshot({"p", "v", "s", "intended", "now", ""});
  postgresql_sql("ALTER ROLE hamal RESET synchronous_commit");
}

}  // namespace
}  // namespace hamal::testing
