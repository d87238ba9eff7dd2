// Every way in which a data stream can be wrong has its own message.
#include "feed.hpp"
#include "records.hpp"

namespace hamal::test {
namespace {

using testing::HasSubstr;

Refusal read(const std::string& bytes) {
  const UniqueFd fd = memory_file(bytes);
  return refusal_of([&] {
    DataStreamReader reader(fd.get(), "pipe");
    while (!std::holds_alternative<EndRecord>(reader.next())) {
    }
  });
}

const std::string k_magic{k_data_stream_magic};

std::string head_json() {
  return R"({"format":"hamal-data","version":1,"platform":"lab","vm_id":"v",)"
         R"("disks":[{"id":"vda","size":4096,"mode":"full"}]})";
}
std::string plan(std::uint64_t offset, std::uint64_t length, std::uint32_t disk = 0) {
  return record("PLAN", u32(disk) + u32(1) + u64(offset) + u64(length));
}
std::string data(std::uint64_t offset, const std::string& bytes, std::uint32_t disk = 0) {
  return record("DATA", u32(disk) + u32(0) + u64(offset) + bytes);
}
std::string zero(std::uint64_t offset, std::uint64_t length) {
  return record("ZERO", u32(0) + u32(0) + u64(offset) + u64(length));
}
std::string done(int extents, int data_bytes, int zero_bytes) {
  return record("DONE", R"({"trailer":{"vda":{"extents":)" + std::to_string(extents) +
                            R"(,"data_bytes":)" + std::to_string(data_bytes) + R"(,"zero_bytes":)" +
                            std::to_string(zero_bytes) + "}}}");
}

struct Case {
  const char* name;
  std::string bytes;
  int status;
  const char* message;
};

std::vector<Case> cases() {
  const std::string head = k_magic + record("HEAD", head_json());
  const std::string three = head + plan(0, 3);
  std::string flipped = data(0, "abc");
  flipped.back() = 'd';
  std::string wrong_length = data(0, "abc");
  wrong_length[4] = 18;
  return {
      {"Empty", "", 1, "pipe: the producer wrote nothing: it failed before its header"},
      {"CutMagic", k_magic.substr(0, 5), 1, "pipe: ends in the middle of its magic"},
      {"OtherMagic", "HAMALXX\x01", 2, "is not a data stream: it does not start with its magic"},
      {"ExtentStream", "{\"format\":\"hamal-extents\"}\n", 2,
       "is not a data stream: it starts as a document or an extent stream"},
      {"NewerMagic", "HAMALDS\x02", 2, "written by a newer hamal: version 2, this one reads 1"},
      {"FarNewerMagic", "HAMALDS\xff", 2, "version 255, this one reads 1"},
      {"OldestMagic", std::string("HAMALDS\0", 8), 2, "the version 0, which never was"},
      {"NoHead", k_magic, 1, "ends without its end record, after 0 records and 8 bytes"},
      {"HeadNotFirst", k_magic + plan(0, 3), 1, "record 1 at byte 8: the first record is PLAN"},
      {"HeadBroken", k_magic + record("HEAD", "{"), 2, "record 1 at byte 8: is not JSON"},
      {"HeadOtherFormat", k_magic + record("HEAD", R"({"format":"hamal-extents","version":1})"), 2,
       "is an extent stream, not a data stream"},
      {"HeadTwice", head + record("HEAD", head_json()), 1, "a second HEAD record"},
      {"NoEnd", three + data(0, "abc"), 1, "ends without its end record, after 3 records and"},
      {"CutHeader", three + data(0, "abc").substr(0, 9), 1,
       "ends in the middle of record 3, which"},
      {"CutPayload", three + data(0, "abc").substr(0, 30), 1, "ends in the middle of record 3"},
      {"CutUnknown", head + record("note", "abcdef").substr(0, 18), 1, "middle of record 2"},
      {"Flipped", three + flipped, 1, "the checksum of the DATA record is wrong"},
      {"FlippedLength", three + wrong_length + done(1, 3, 0), 1, "checksum of the DATA record"},
      {"FlippedUnknown", head + record("note", "abc").replace(18, 1, "x"), 1,
       "the checksum of the note record is wrong"},
      {"NoTag", head + std::string(16, '\0'), 1,
       "no record starts here: its tag is not four letters"},
      {"UnknownTag", head + record("Next", "abc"), 2,
       "has the tag Next, which this hamal does not know (update hamal"},
      {"AbsurdLength", head + "DATA" + u32(0xffffffffU) + u64(0), 1,
       "a DATA record of 4294967295 bytes, 4194320 are allowed"},
      {"AbsurdHead", k_magic + "HEAD" + u32(17U << 20) + u64(0), 1,
       "a HEAD record of 17825792 bytes"},
      {"AbsurdDone", head + "DONE" + u32(3U << 20) + u64(0), 1, "a DONE record of 3145728 bytes"},
      {"AbsurdFail", head + "FAIL" + u32(65537) + u64(0), 1, "65536 are allowed"},
      {"PlanShort", head + record("PLAN", u32(0) + u32(0)), 1,
       "a PLAN record of 8 bytes, it needs 24"},
      {"PlanCount", head + record("PLAN", u32(0) + u32(2) + u64(0) + u64(1)), 1,
       "counts 2 extents"},
      {"PlanTail", head + record("PLAN", u32(0) + u32(1) + u64(0) + u64(1) + "x"), 1,
       "counts 1 extents in 25 bytes"},
      {"PlanDisk", head + plan(0, 3, 1), 1, "record 2 at byte 137: names disk 1, the header has 1"},
      {"PlanEmpty", head + plan(5, 0), 1,
       "the range (offset 5, length 0, data) of disk \"vda\" is empty"},
      {"PlanOutside", head + plan(4096, 1), 1, "is not inside the disk, which has 4096 bytes"},
      {"PlanOverflow", head + plan(512, 0x7fffffffffffffffULL), 1, "is not inside the disk"},
      {"PlanOverlap", head + plan(0, 3) + plan(2, 3), 1, "overlaps the one before it"},
      {"PlanBackwards", head + plan(10, 3) + plan(2, 3), 1, "goes backwards"},
      {"PlanLate", three + data(0, "abc") + plan(10, 1), 1, "a PLAN record after the first DATA"},
      {"DataEmpty", three + data(0, ""), 1, "a DATA record of 16 bytes, it needs 17"},
      {"DataDisk", three + data(0, "abc", 7), 1, "names disk 7"},
      {"DataReserved", three + record("DATA", u32(0) + u32(1) + u64(0) + "abc"), 1,
       "a field that must be 0 is not"},
      {"DataOutside", three + data(4095, "ab"), 1, "is not inside the disk"},
      {"DataTwice", three + data(0, "abc") + data(0, "abc"), 1, "overlaps"},
      {"DataBackwards", three + data(9, "abc") + data(0, "abc"), 1, "goes backwards"},
      {"ZeroShort", three + record("ZERO", u32(0) + u32(0) + u64(0)), 1, "it needs 24"},
      {"ZeroEmpty", three + zero(0, 0), 1, "is empty"},
      {"ZeroOverflow", three + zero(1, ~std::uint64_t{0}), 1, "is not inside the disk"},
      {"ZeroOverData", three + data(0, "abc") + zero(2, 5), 1, "overlaps"},
      {"NotAllSent", three + data(0, "ab") + done(1, 2, 0), 1,
       "of disk \"vda\" 3 bytes were planned, 2 arrived"},
      {"DoneDisagrees", three + data(0, "abc") + done(1, 2, 1), 1,
       "the trailer disagrees: it counts 2 data_bytes"},
      {"DoneExtents", three + data(0, "abc") + done(2, 3, 0), 1, "it counts 2 extents"},
      {"DoneNoJson", three + data(0, "abc") + record("DONE", "x"), 1, "is not JSON"},
      {"DoneArray", three + data(0, "abc") + record("DONE", "[]"), 1, "must be an object"},
      {"AfterDone", head + done(0, 0, 0) + "x", 1, "something follows the end record"},
      {"Fail", three + record("FAIL", u32(6) + "disk\nlost"), 6,
       "pipe: its producer failed: disk\\nlost"},
      {"FailTransient", head + record("FAIL", u32(75) + "later"), 75, "its producer failed: later"},
      {"FailStatus0", head + record("FAIL", u32(0)), 1, "the status 0, not 1 to 255"},
      {"FailStatus256", head + record("FAIL", u32(256)), 1, "the status 256"},
      {"FailShort", head + record("FAIL", "abc"), 1, "a FAIL record of 3 bytes, it needs 4"},
  };
}

TEST(DataStreamErrors, EachHasItsMessageAndStatus) {
  for (const Case& wrong : cases()) {
    SCOPED_TRACE(wrong.name);
    const Refusal refusal = read(wrong.bytes);
    EXPECT_THAT(refusal.message, HasSubstr(wrong.message));
    EXPECT_EQ(refusal.status, wrong.status) << refusal.message;
  }
}

std::string whole_stream() {
  const std::uint64_t zero_bit = std::uint64_t{1} << 63;
  return k_magic + record("HEAD", head_json()) + plan(0, 3) + plan(512, 100 | zero_bit) +
         data(0, "abc") + zero(512, 100) + done(2, 3, 100);
}

TEST(DataStreamErrors, CutAnywhere) {
  const std::string whole = whole_stream();
  ASSERT_EQ(read(whole).message, "accepted");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const Refusal refusal = read(whole.substr(0, length));
    EXPECT_EQ(refusal.status, 1) << length;
    EXPECT_THAT(refusal.message, testing::AnyOf(HasSubstr("ends "), HasSubstr("wrote nothing")));
  }
}

TEST(DataStreamErrors, FlippedAnywhere) {
  const std::string whole = whole_stream();
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string bad = whole;
    bad[i] = static_cast<char>(bad[i] ^ 0x20);
    EXPECT_NE(read(bad).status, 0) << "byte " << i;
  }
}

TEST(DataStreamErrors, TheWritersFailureArrives) {
  std::string bytes;
  DataStreamWriter writer(append_to(bytes), one_disk());
  writer.fail(ExitStatus::base_mismatch, std::string(100'000, 'x'));
  const Refusal refusal = read(bytes);
  EXPECT_EQ(refusal.status, 5);
  EXPECT_THAT(refusal.message, HasSubstr("its producer failed: xxxx"));
}

}  // namespace
}  // namespace hamal::test
