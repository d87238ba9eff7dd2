// Every way in which an extent stream can be wrong has its own message.
#include <functional>

#include "feed.hpp"

namespace hamal::test {
namespace {

using testing::HasSubstr;

std::string header_line() {
  std::string bytes;
  const ExtentStreamWriter writer(append_to(bytes), one_disk());
  return bytes;
}

std::string extent_line(const std::string& offset, const std::string& length,
                        const std::string& kind = "\"data\"") {
  return "{\"disk\":\"vda\",\"offset\":" + offset + ",\"length\":" + length + ",\"kind\":" + kind +
         "}\n";
}

std::string trailer(int extents, int data, int zero) {
  return "{\"trailer\":{\"vda\":{\"extents\":" + std::to_string(extents) +
         ",\"data_bytes\":" + std::to_string(data) + ",\"zero_bytes\":" + std::to_string(zero) +
         "}}}\n";
}

Refusal read(const std::string& bytes) {
  const UniqueFd fd = memory_file(bytes);
  return refusal_of([&] {
    ExtentStreamReader reader(fd.get(), "pipe");
    std::size_t disk = 0;
    for (std::vector<Extent> window; reader.next(disk, window);) {
    }
  });
}

struct Case {
  const char* name;
  std::string bytes;
  int status;
  const char* message;
};

std::string header_with(const std::string& from, const std::string& to) {
  std::string text = header_line();
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to) + trailer(0, 0, 0);
}

std::vector<Case> cases() {
  const std::string header = header_line();
  const std::string good = extent_line("0", "512");
  return {
      {"Empty", "", 1, "pipe: the producer wrote nothing: it failed before its header"},
      {"CutInTheHeader", header.substr(0, 50), 1, "ends in the middle of line 1"},
      {"CutInALine", header + good.substr(0, 20), 1, "pipe: ends in the middle of line 2"},
      {"CutBeforeTheLastLineFeed", header + trailer(0, 0, 0).substr(0, 60), 1, "middle of line 2"},
      {"NoTrailer", header + good, 1, "pipe: ends without its trailer, after line 2"},
      {"BlankLine", header + "\n" + trailer(0, 0, 0), 1, "pipe, line 2: the line is blank"},
      {"AfterTheTrailer", header + trailer(0, 0, 0) + good, 1, "line 3: something follows"},
      {"BlankAfterTheTrailer", header + trailer(0, 0, 0) + "\n", 1, "something follows"},
      {"NotJson", header + "hello\n", 1, "line 2: is not JSON: what starts with \"hello\""},
      {"Array", header + "[]\n", 1, "line 2: what is here must be an object, not an array"},
      {"Binary", header + std::string("\x00\x01\n", 3), 1, "line 2: is not JSON"},
      {"NotUtf8", header + "{\"disk\":\"\xff\"}\n", 1, "line 2: is not JSON"},
      {"UnknownDisk", header + "{\"disk\":\"sda\",\"offset\":0,\"length\":1,\"kind\":\"data\"}\n",
       1, "line 2: the header has no disk \"sda\""},
      {"NoDisk", header + "{\"offset\":0,\"length\":1,\"kind\":\"data\"}\n", 1,
       "the field \"disk\" is missing"},
      {"NoOffset", header + "{\"disk\":\"vda\",\"length\":1,\"kind\":\"data\"}\n", 1,
       "the field \"offset\" is missing"},
      {"NoLength", header + "{\"disk\":\"vda\",\"offset\":1,\"kind\":\"data\"}\n", 1,
       "the field \"length\" is missing"},
      {"NoKind", header + "{\"disk\":\"vda\",\"offset\":1,\"length\":1}\n", 1,
       "the field \"kind\" is missing"},
      {"FieldTwice", header + "{\"disk\":\"vda\",\"offset\":1,\"offset\":1,\"length\":1}\n", 1,
       "the field \"offset\" is given twice"},
      {"OffsetText", header + extent_line("\"0\"", "1"), 1,
       "the field \"offset\" must be a whole number, not a string"},
      {"OffsetNegative", header + extent_line("-1", "1"), 1, "must not be negative, as -1 is"},
      {"OffsetFloat", header + extent_line("1.5", "1"), 1, "must be a whole number, not 1.5"},
      {"OffsetExponent", header + extent_line("1e3", "1"), 1, "must be a whole number, not 1000.0"},
      {"OffsetLeadingZero", header + extent_line("01", "1"), 1, "is not JSON"},
      {"OffsetHuge", header + extent_line("9223372036854775808", "1"), 1, "is not inside the disk"},
      {"OffsetHugeSlow", header + extent_line(" 9223372036854775808", "1"), 1,
       "is too large: 9223372036854775808 is more than 9223372036854775807"},
      {"OffsetAbsurd", header + extent_line("99999999999999999999999", "1"), 1, "is too large"},
      {"OffsetInfinite", header + extent_line("1e999", "1"), 1, "too large"},
      {"LengthZero", header + extent_line("0", "0"), 1, "line 2: the extent (offset 0, length 0"},
      {"LengthNull", header + extent_line("0", "null"), 1, "must be a whole number, not null"},
      {"KindOther", header + extent_line("0", "1", "\"hole\""), 1,
       "the field \"kind\" must be data or zero, not \"hole\""},
      {"KindNumber", header + extent_line("0", "1", "0"), 1, "must be a string, not a number"},
      {"Overlap", header + good + extent_line("511", "5"), 1,
       "line 3: the extent (offset 511, length 5, data) of disk \"vda\" overlaps the one before "
       "it"},
      {"Backwards", header + extent_line("512", "5") + extent_line("0", "5"), 1,
       "line 3: the extent (offset 0, length 5, data) of disk \"vda\" goes backwards"},
      {"Twice", header + good + good, 1, "overlaps"},
      {"Outside", header + extent_line("1048576", "1"), 1, "is not inside the disk"},
      {"Over", header + extent_line("1048575", "2"), 1, "which has 1048576 bytes"},
      {"Overflow", header + extent_line("512", "9223372036854775807"), 1, "is not inside"},
      {"LongLine", header + std::string(2 << 20, ' ') + "\n", 1, "line 2: the line is longer than"},
      {"LongLineWithoutEnd", header + std::string(3 << 20, 'x'), 1, "the line is longer than"},
      {"LongHeader", "{" + std::string(17 << 20, ' '), 1, "the line is longer than 16777216 bytes"},
      {"DeepNesting", header + std::string(500'000, '[') + "\n", 1, "nested more than 64 deep"},
      {"TrailerCount", header + good + trailer(2, 512, 0), 1,
       "the trailer disagrees: it counts 2 extents of disk \"vda\", 1 arrived"},
      {"TrailerData", header + good + trailer(1, 511, 0), 1, "it counts 511 data_bytes"},
      {"TrailerZero", header + good + trailer(1, 512, 1), 1, "it counts 1 zero_bytes"},
      {"TrailerWithoutDisk", header + "{\"trailer\":{}}\n", 1, "does not count disk \"vda\""},
      {"TrailerOtherDisk", header + trailer(0, 0, 0).insert(12, R"("x":{"extents":0},)"), 1,
       "the trailer counts a disk that the header does not have"},
      {"TrailerNoObject", header + "{\"trailer\":1}\n", 1, "\"trailer\" must be an object"},
      {"TrailerDiskNoObject", header + "{\"trailer\":{\"vda\":1}}\n", 1, "must be an object"},
      {"ErrorRecord", header + "{\"error\":{\"status\":5,\"message\":\"the bitmap\\nis gone\"}}\n",
       5, "pipe: its producer failed: the bitmap\\nis gone"},
      {"ErrorTransient", header + good + "{\"error\":{\"status\":75,\"message\":\"busy\"}}\n", 75,
       "its producer failed: busy"},
      {"ErrorStatus0", header + "{\"error\":{\"status\":0,\"message\":\"\"}}\n", 1,
       "\"error.status\" must be 1 to 255"},
      {"ErrorStatus256", header + "{\"error\":{\"status\":256,\"message\":\"\"}}\n", 1, "1 to 255"},
      {"ErrorWithoutMessage", header + "{\"error\":{\"status\":1}}\n", 1,
       "the field \"error.message\" is missing"},
      {"DataStream", "HAMALDS\x01rest", 2, "pipe: is a data stream, not an extent stream"},
      {"SnapshotDocument", "{\"format\":\"hamal-snapshot\",\"version\":1}\n", 2,
       "is a snapshot document, not an extent stream (put hamal-cbt-read between"},
      {"SpreadDocument", "{\n  \"format\":\"hamal-snapshot\"\n}\n", 2, "header is not on one line"},
      {"SomethingElse", "QFI\xfb", 2, "is not an extent stream: it does not start with a header"},
      {"OtherFormat", header_with("hamal-extents", "tar"), 2, "is \"tar\", not an extent stream"},
      {"NoFormat", "{}\n", 2, "is not an extent stream: it has no field \"format\""},
      {"Newer", header_with("\"version\":1", "\"version\":2"), 2,
       "pipe, line 1: written by a newer hamal: version 2, this one reads 1"},
      {"Version0", header_with("\"version\":1", "\"version\":0"), 2, "\"version\" must not be 0"},
      {"VersionText", header_with("\"version\":1", "\"version\":\"1\""), 2,
       "must be a whole number"},
      {"NoPlatform", header_with("\"platform\":\"lab\",", ""), 2, "\"platform\" is missing"},
      {"EmptyVm", header_with("\"web01\"", "\"\""), 2, "\"vm_id\" must not be empty"},
      {"Nul", header_with("web01", "web\\u0000"), 2, "\"vm_id\" holds a NUL character"},
      {"NoDisks", header_with("\"disks\":[", "\"disks\":[],\"other\":["), 2,
       "\"disks\" must not be empty"},
      {"DisksObject", header_with("\"disks\":[", "\"disks\":{},\"other\":["), 2,
       "\"disks\" must be an array, not an object"},
      {"DiskNumber", header_with("\"disks\":[", "\"disks\":[7,"), 2,
       "disks[0] must be an object, not a number"},
      {"DiskTwice",
       header_with("\"disks\":[", "\"disks\":[{\"id\":\"vda\",\"size\":1,\"mode\":\"full\"},"), 2,
       "the disk \"vda\" is given twice"},
      {"NoSize", header_with("\"size\":1048576,", ""), 2, "\"disks[0].size\" is missing"},
      {"SizeHuge", header_with("\"size\":1048576", "\"size\":18446744073709551615"), 2,
       "\"disks[0].size\" is too large"},
      {"Mode", header_with("\"full\"", "\"half\""), 2, "must be full or incremental, not \"half\""},
      {"NoBase", header_with("\"full\"", "\"incremental\""), 2,
       "\"disks[0].base_change_id\" must not be empty"},
  };
}

TEST(ExtentStreamErrors, EachHasItsMessageAndStatus) {
  for (const Case& wrong : cases()) {
    SCOPED_TRACE(wrong.name);
    const Refusal refusal = read(wrong.bytes);
    EXPECT_THAT(refusal.message, HasSubstr(wrong.message));
    EXPECT_EQ(refusal.status, wrong.status) << refusal.message;
  }
}

TEST(ExtentStreamErrors, IsAnErrorAtEveryByte) {
  const std::string whole = header_line() + extent_line("0", "512") + trailer(1, 512, 0);
  ASSERT_EQ(read(whole).message, "accepted");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_EQ(read(whole.substr(0, length)).status, 1) << length;
  }
}

TEST(ExtentStreamErrors, TooManyDisksAreRefused) {
  std::string many;
  for (int i = 0; i < 1025; ++i) {
    many += "{\"id\":\"d" + std::to_string(i) + "\",\"size\":1,\"mode\":\"full\"},";
  }
  const Refusal refusal = read(header_with("\"disks\":[", "\"disks\":[" + many));
  EXPECT_THAT(refusal.message, HasSubstr("has 1026 disks, more than 1024"));
}

}  // namespace
}  // namespace hamal::test
