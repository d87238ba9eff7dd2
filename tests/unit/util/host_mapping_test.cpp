// Host mappings in a file: written, read again, and what is none.
#include "hamal/util/host_mapping.hpp"

#include <gtest/gtest.h>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

TEST(HostMapping, IsReadAsItWasWritten) {
  const std::vector<HostMapping> mappings{{"a.example", {"192.0.2.1", "2001:db8::1"}},
                                          {"b", {"192.0.2.2"}}};
  const std::string text = host_mapping_lines(mappings);
  EXPECT_EQ(text, "192.0.2.1 a.example\n2001:db8::1 a.example\n192.0.2.2 b\n");
  EXPECT_EQ(parse_host_mapping_lines("# of the console\n\n" + text, "f"), mappings);
}

TEST(HostMapping, AnythingElseIsRefusedWithItsLine) {
  for (const char* wrong :
       {"192.0.2.1", "a.example 192.0.2.1", "192.0.2.1 a b", "192.0.2 a", "192.0.2.1 -a",
        "192.0.2.1 a..b", "192.0.2.1 192.0.2.2", "::1%eth0 a", "[::1] a", "garbage"}) {
    try {
      parse_host_mapping_lines(std::string("192.0.2.1 good\n") + wrong, "f");
      ADD_FAILURE() << wrong;
    } catch (const Error& error) {
      EXPECT_EQ(error.object(), "f:2") << wrong;
    }
  }
}

TEST(HostMapping, NamesAreNames) {
  EXPECT_TRUE(is_host_name("a"));
  EXPECT_TRUE(is_host_name("_srv.a-b.example"));
  for (const std::string& wrong : {std::string(), std::string("."), std::string("A"),
                                   std::string("a.example."), std::string(254, 'a')}) {
    EXPECT_FALSE(is_host_name(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace hamal
