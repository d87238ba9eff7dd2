// The lines of a configuration: comments, quotes, and what is none of it.
#include "hamal/config/ini_text.hpp"

#include <gmock/gmock.h>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string value_of(const std::string& line) {
  const IniText ini = parse_ini("[s]\n" + line + "\n", "t");
  EXPECT_EQ(ini.entries.size(), 1U) << line;
  return ini.entries.empty() ? "(none)" : ini.entries[0].value;
}

std::string refusal(const std::string& text) {
  try {
    parse_ini(text, "t");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.what();
  }
  ADD_FAILURE() << "accepted: " << text.substr(0, 100);
  return {};
}

TEST(IniText, CommentsBeginBehindWhiteSpace) {
  EXPECT_EQ(value_of("k = 60 # Interval for scheduled tasks (seconds)"), "60");
  EXPECT_EQ(value_of("k = 60 ; seconds"), "60");
  EXPECT_EQ(value_of("k = 60\t#seconds"), "60");
  EXPECT_EQ(value_of("k = a#b;c"), "a#b;c");
  EXPECT_EQ(value_of("k = # nothing"), "");
  EXPECT_EQ(value_of("k ="), "");
  EXPECT_EQ(value_of("k=1"), "1");
  EXPECT_EQ(value_of("k: 1"), "1");
  EXPECT_EQ(value_of("k = a = b"), "a = b");
}

TEST(IniText, QuotesProtectAndAreRemoved) {
  EXPECT_EQ(value_of("k = \"\" # Local host IP (optional)"), "");
  EXPECT_EQ(value_of("k = \" a # b \" ; c"), " a # b ");
  EXPECT_EQ(value_of("k = 'say \"x\"'"), "say \"x\"");
  EXPECT_EQ(value_of("k = it's \"fine\""), "it's \"fine\"");
}

TEST(IniText, LinesAreCountedThroughCommentsBlanksAndCarriageReturns) {
  const IniText ini =
      parse_ini("\xef\xbb\xbf# c\r\n\r\n[s]\r\n  a = 1\r\n\t[ t ] # d\r\nb = 2", "t");
  ASSERT_EQ(ini.entries.size(), 2U);
  EXPECT_EQ(ini.entries[0].line, 4);
  EXPECT_EQ(ini.entries[0].section, "s");
  EXPECT_EQ(ini.entries[0].value, "1");
  EXPECT_EQ(ini.entries[1].line, 6);
  EXPECT_EQ(ini.entries[1].section, "t");
  ASSERT_EQ(ini.sections.size(), 2U);
  EXPECT_EQ(ini.sections[1].line, 5);
}

TEST(IniText, AnIndentedLineContinuesNothing) {
  const IniText ini = parse_ini("[s]\na = 1\n  b = 2\n", "t");
  ASSERT_EQ(ini.entries.size(), 2U);
  EXPECT_EQ(ini.entries[1].key, "b");
}

TEST(IniText, EachMistakeNamesItsLine) {
  EXPECT_THAT(refusal("[s]\nword\n"), StartsWith("t:2: neither [section] nor"));
  EXPECT_THAT(refusal("a = 1\n"), HasSubstr("t:1: a: a key before any [section]"));
  EXPECT_THAT(refusal("[s]\n= 1\n"), StartsWith("t:2: a value without a key"));
  EXPECT_THAT(refusal("\n[s\n"), StartsWith("t:2: the section's name is not closed"));
  EXPECT_THAT(refusal("[]\n"), StartsWith("t:1: a section without a name"));
  EXPECT_THAT(refusal("[s] x\n"), StartsWith("t:1: text behind the ]"));
  EXPECT_THAT(refusal("[s]\na = \"x\n"), StartsWith("t:2: a: the quote is not closed"));
  EXPECT_THAT(refusal("[s]\na = \"x\" y\n"), StartsWith("t:2: a: text behind the closing quote"));
  EXPECT_THAT(refusal("[" + std::string(50, 's') + "]\n"), HasSubstr("longer than 49"));
  EXPECT_THAT(refusal(std::string("[s]\na = \0x\n", 11)), StartsWith("t:2: holds a NUL byte"));
}

TEST(IniText, ALineMayBeLongButNotEndless) {
  const std::string longest(16384 - 4, 'x');
  EXPECT_EQ(value_of("k = " + longest), longest);
  EXPECT_THAT(refusal("[s]\nk = x" + longest + "\n"), StartsWith("t:2: longer than 16384 bytes"));
}

TEST(IniText, TheFirstMistakeIsTheOneThatIsTold) {
  EXPECT_THAT(refusal("[s]\nword\nother\na = \"x\n"), StartsWith("t:2: "));
}

}  // namespace
}  // namespace hamal
