// What is a key, and what every refusal says.
#include "hamal/store/keys.hpp"

#include <gmock/gmock.h>

namespace hamal {
namespace {

using testing::HasSubstr;

TEST(Keys, AlphabetPartsAndLengths) {
  for (const std::string& key :
       {std::string("a"), std::string("a/b.c/-_=9"), std::string(".x/..."), std::string(255, 'a'),
        std::string(255, 'a') + "/" + std::string(255, 'b'), std::string("x/.hamal-y")}) {
    EXPECT_TRUE(is_key(key)) << key;
  }
  const std::string part(255, 'a');
  for (const std::string& key :
       {std::string(), std::string("/a"), std::string("a/"), std::string("a//b"), std::string("."),
        std::string("a/.."), std::string("a/./b"), std::string("a b"), std::string("a\0b", 3),
        std::string("ä"), std::string("a%20b"), std::string(256, 'a'),
        part + "/" + part + "/" + part, std::string(".hamal-tmp/x"), std::string(".hamal-x")}) {
    EXPECT_FALSE(is_key(key)) << key;
  }
}

TEST(Keys, RefusalsNameTheStoreAndStayOneLine) {
  try {
    require_key("a\nb", "dir:/x");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(), testing::StartsWith("dir:/x: \"a\\nb\" cannot be the key"));
  }
}

TEST(Keys, AListIsOfAllOrOfWhatIsBelowASlash) {
  EXPECT_NO_THROW(require_list_prefix("", "s"));
  EXPECT_NO_THROW(require_list_prefix("a/b/", "s"));
  for (const char* prefix : {"a", "/", "a//", "../"}) {
    EXPECT_THROW(require_list_prefix(prefix, "s"), Error) << prefix;
  }
}

TEST(Keys, ObjectsAreNamedWithTheirStore) {
  EXPECT_EQ(object_name("dir:/x", "a/b"), "dir:/x/a/b");
  EXPECT_EQ(object_name("s3://store/", "a"), "s3://store/a");
}

}  // namespace
}  // namespace hamal
