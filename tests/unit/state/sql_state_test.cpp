// What is of SQLite alone, and a checkpoint as JSON; what every database must do is in
// tests/conformance/state_test.cpp.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "hamal/state/checkpoint_json.hpp"
#include "hamal/state/state.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/random_id.hpp"

namespace hamal {
namespace {

class SqliteState : public testing::Test {
 protected:
  ~SqliteState() override { std::filesystem::remove_all(m_directory); }
  std::unique_ptr<State> open() const { return open_state("sqlite://" + path()); }
  std::string path() const { return (m_directory / "lib" / "hamal.db").string(); }

  std::filesystem::path m_directory =
      std::filesystem::temp_directory_path() / ("hamal-state-" + random_hex(8));
};

TEST_F(SqliteState, FilesArePrivate) {
  open();
  struct stat status {};
  ASSERT_EQ(::stat(path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  ASSERT_EQ(::stat(m_directory.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0700U);
}

TEST_F(SqliteState, DamagedDatabaseIsNamedAndNotTouched) {
  std::filesystem::create_directories(m_directory / "lib");
  std::ofstream(path()) << std::string(8192, 'x');
  try {
    open();
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("damaged"), std::string::npos) << error.what();
    EXPECT_FALSE(error.transient());
  }
  EXPECT_EQ(std::filesystem::file_size(path()), 8192U);
}

TEST(StateConnection, IsSqliteWithAnAbsolutePathOrPostgresql) {
  for (const char* bad : {"mysql://db/hamal", "sqlite://relative.db", "", "hamal.db",
                          "postgresql://db/hamal?nonsense=1"}) {
    try {
      open_state(bad);
      FAIL() << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage) << bad;
    }
  }
}

TEST(CheckpointJson, RoundTrip) {
  Checkpoint c;
  c.identity = {"lab", "vm", "vda", "file:/x"};
  c.change_id = "b";
  c.generation = 3;
  c.size = 1ULL << 44;
  const auto back = parse_checkpoint(to_json(c), "t");
  EXPECT_EQ(back.identity, c.identity);
  EXPECT_EQ(back.generation, 3U);
  EXPECT_EQ(back.size, c.size);
}

TEST(CheckpointJson, ATargetInProgressSaysSoAndIsReadAllTheSame) {
  Checkpoint c;
  c.generation = 3;
  InProgress mark;
  mark.started = "2026-11-22T21:24:35Z";
  const std::string json = to_json(c, mark, true);
  EXPECT_NE(
      json.find(
          R"("state":"in progress","in_progress":{"started":"2026-11-22T21:24:35Z","can_roll_back":true})"),
      std::string::npos)
      << json;
  EXPECT_EQ(parse_checkpoint(json, "t").generation, 3U);
}

TEST(CheckpointJson, ForeignTextIsRefusedWithItsFieldNamed) {
  const std::string good = to_json(Checkpoint{});
  const auto without = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  const std::pair<std::string, std::string> cases[] = {
      {"", "not a JSON object"},
      {"[]", "not a JSON object"},
      {"{}", "\"format\""},
      {without("hamal-checkpoint", "hamal-snapshot"), "its format is"},
      {without("\"version\":1", "\"version\":2"), "newer hamal"},
      {without("\"size\":0", "\"size\":-1"), "\"size\""},
      {without("\"generation\":0", "\"generation\":\"0\""), "\"generation\""},
      {without("\"change_id\":\"\"", "\"change_id\":null"), "\"change_id\""},
  };
  for (const auto& [text, expected] : cases) {
    try {
      parse_checkpoint(text, "ck.json");
      FAIL() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      EXPECT_NE(std::string(error.what()).find(expected), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace hamal
