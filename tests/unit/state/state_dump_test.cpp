// A state as a document: what is written is read, and nothing else is.
#include "hamal/state/state_dump.hpp"

#include <gtest/gtest.h>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

StateDump sample() {
  StateDump dump;
  dump.installation_id = "0f4c2f9e-7a0b-4c0e-9b64-0d8f9e6f1a2b";
  dump.disk_flag_key = std::string(64, 'a');
  std::int64_t number = 1;
  for (const DumpTable& table : dump_tables()) {
    for (int row = 0; row < 2; ++row) {
      DumpRow& made = dump.rows[table.name].emplace_back();
      for (const DumpColumn& column : table.columns) {
        if (column.kind == DumpColumn::Kind::text) {
          made.emplace_back(std::string(column.name) + "'s \"ü\"\n" + std::to_string(row));
        } else {
          made.emplace_back(INT64_MAX - number++);
        }
      }
    }
  }
  return dump;
}

std::string problem(const std::string& json) {
  try {
    parse_state_dump(json, "the file");
  } catch (const Error& error) {
    EXPECT_EQ(exit_status(error), ExitStatus::usage) << json;
    EXPECT_NE(std::string(error.what()).find("the file"), std::string::npos);
    return error.what();
  }
  return {};
}

// The first `from` of the sample's document, replaced.
std::string changed(const std::string& from, const std::string& to) {
  std::string json = to_json(sample());
  const auto at = json.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return json.replace(at, from.size(), to);
}

TEST(StateDumpText, WhatIsWrittenIsRead) {
  EXPECT_EQ(parse_state_dump(to_json(sample()), "test"), sample());
  StateDump none;
  for (const DumpTable& table : dump_tables()) {
    none.rows[table.name];
  }
  EXPECT_EQ(parse_state_dump(to_json(none), "test"), none);
}

TEST(StateDumpText, AnythingElseIsRefusedWithTheField) {
  EXPECT_NE(problem("{"), "");
  EXPECT_NE(problem("[]"), "");
  EXPECT_NE(problem(changed("hamal-state", "hamal-snapshot")).find("a snapshot document"),
            std::string::npos);
  EXPECT_NE(problem(changed("\"version\":1", "\"version\":2")).find("newer"), std::string::npos);
  EXPECT_NE(problem(changed("0f4c2f9e", "../../..")).find("installation_id"), std::string::npos);
  EXPECT_NE(problem(changed("aaaa", "aaa")).find("disk_flag_key"), std::string::npos);
  EXPECT_NE(problem(changed("\"generation\":", "\"generation\":-")).find("generation"),
            std::string::npos);
  EXPECT_NE(problem(changed("\"vm_id\":", "\"vm_di\":")).find("tables.checkpoints[0].vm_id"),
            std::string::npos);
  EXPECT_NE(problem(changed("{\"platform\"", "{\"more\":1,\"platform\"")).find("does not know"),
            std::string::npos);
  EXPECT_NE(problem(changed("\"runs\":", "\"runz\":")).find("tables.runs"), std::string::npos);
  EXPECT_NE(problem(changed("\"runs\":", "\"more\":[],\"runs\":")).find("does not know"),
            std::string::npos);
  const std::string whole = to_json(sample());
  for (std::size_t size = 0; size + 2 < whole.size(); size += 97) {
    EXPECT_NE(problem(whole.substr(0, size)), "") << size;
  }
}

}  // namespace
}  // namespace hamal
