#include "hamal/state/lease_text.hpp"

#include <gtest/gtest.h>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

TEST(LeaseText, WhatIsWrittenIsRead) {
  const NamedLease lease{{"lab", "a vm/of: 7"}, {"0af3", 18446744073709551615ULL}};
  const NamedLease read = parse_lease(to_text(lease), "test");
  EXPECT_EQ(read.key, lease.key);
  EXPECT_EQ(read.token, lease.token);
}

TEST(LeaseText, AnythingElseIsRefusedByItsName) {
  for (const char* text :
       {"", "lab", "lab/vm", "lab/vm:owner", "lab/vm:owner:", "lab/vm:owner:x", "lab/vm:owner:1x",
        "lab/vm::1", "/vm:owner:1", "lab/:owner:1", "lab:owner:1", "lab/%zz:owner:1",
        "lab/vm:owner:-1", "lab/vm:owner:18446744073709551616", ":/:1"}) {
    try {
      parse_lease(text, "HAMAL_LEASE");
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(exit_status(error), ExitStatus::usage) << text;
      EXPECT_EQ(error.object(), "HAMAL_LEASE");
    }
  }
}

}  // namespace
}  // namespace hamal
