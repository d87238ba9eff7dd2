// Telling streams apart, and handing on every byte that it took.
#include "hamal/stream/detect.hpp"

#include "feed.hpp"
#include "hamal/stream/snapshot_document.hpp"

namespace hamal::test {
namespace {

void expect_kind(const std::string& bytes, StreamKind kind) {
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, bytes.size() + 1}) {
    const Dribble pipe(bytes, step);
    std::string prefix;
    EXPECT_EQ(detect_stream(pipe.fd(), prefix), kind) << bytes.substr(0, 80);
    std::string rest(bytes.size() + 1, '\0');
    for (ssize_t got = 1; got > 0 && kind != StreamKind::empty;) {
      got = ::read(pipe.fd(), rest.data(), rest.size());
      prefix.append(rest.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    }
    EXPECT_EQ(prefix, bytes);
  }
}

TEST(DetectStream, KnowsEveryKind) {
  std::string extents;
  ExtentStreamWriter(append_to(extents), two_disks()).finish();
  std::string data;
  DataStreamWriter(append_to(data), two_disks()).finish();
  SnapshotDocument document{"lab", "qemu", "v", "hamal-extents", "s", "", false, {}, "{}"};
  document.disks.push_back({"vda", "", 1, "", "file:/a", false, ""});
  expect_kind(extents, StreamKind::extents);
  expect_kind(data, StreamKind::data);
  expect_kind(to_json(document), StreamKind::snapshot_document);
  expect_kind("", StreamKind::empty);
  expect_kind("hello", StreamKind::unknown);
  expect_kind(std::string(2000, '\0'), StreamKind::unknown);
  expect_kind("\n\n", StreamKind::unknown);
}

TEST(DetectStream, LeavesDamagedOnesToTheirReaders) {
  expect_kind("HAMALDS\x09", StreamKind::data);
  expect_kind("{\"format\":\"hamal-extents\",\"vers", StreamKind::extents);
  expect_kind("{\"format\":\"hamal-extents\",}\n{}\n", StreamKind::extents);
  expect_kind("{\"format\":\"hamal-snapshot\",", StreamKind::snapshot_document);
  expect_kind("{\"format\":\"other\"}\n", StreamKind::unknown);
}

TEST(DetectStream, TakesADocumentThatIsSpreadOverLines) {
  expect_kind("{\n  \"disks\": [\n  ],\n  \"format\": \"hamal-snapshot\"\n}\n",
              StreamKind::snapshot_document);
}

}  // namespace
}  // namespace hamal::test
