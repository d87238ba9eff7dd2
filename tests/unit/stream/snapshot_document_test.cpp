// The snapshot document: round trips, and every error by its field.
#include "hamal/stream/snapshot_document.hpp"

#include "feed.hpp"

namespace hamal::test {
namespace {

using testing::HasSubstr;

SnapshotDocument document() {
  SnapshotDocument document{
      "lab",         "qemu",   "web01",
      "web \"1\" ü", "snap-7", "2026-11-22T21:24:35.123Z",
      true,          {},       "{\"export\":\"x\",\"nested\":{\"a\":[1,2.5]}}"};
  document.disks.push_back({"vda", "/images/a", 1 << 30, "id-7", "lab:web01/vda@snap-7", true, ""});
  document.disks.push_back({"1", "", 0, "", "file:/b", false, "raw images track nothing"});
  document.hardware = R"({"cpus":2})";
  return document;
}

std::string with(const std::string& from, const std::string& to) {
  std::string text = to_json(document());
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

Refusal parse(const std::string& text) {
  return refusal_of([&] { parse_snapshot_document(text, "doc.json"); });
}

TEST(SnapshotDocument, RoundTrips) {
  const std::string text = to_json(document());
  EXPECT_EQ(text.find('\n'), text.size() - 1);
  EXPECT_EQ(parse_snapshot_document(text, "test"), document());
}

TEST(SnapshotDocument, TakesWhiteSpaceOtherFieldsAndDefaults) {
  const auto parsed = parse_snapshot_document(R"( {
    "version": 1, "format": "hamal-snapshot", "platform": "lab", "vm_id": "v", "snapshot_id": "",
    "color": "blue", "disks": [ {"id": "a", "size": 512, "source": "file:/a", "shape": {}} ] }
  )",
                                              "test");
  EXPECT_EQ(parsed.disks[0].size, 512U);
  EXPECT_EQ(parsed.platform_data, "{}");
  EXPECT_EQ(parsed.hardware, "{}");
  EXPECT_FALSE(parsed.quiesced);
  EXPECT_FALSE(parsed.disks[0].tracked);
}

TEST(SnapshotDocument, KeepsTheIndexOfADiskWhoseNeighboursAreLeftOut) {
  SnapshotDocument partial = document();
  partial.disks.erase(partial.disks.begin());
  partial.disks[0].id = "vdb";
  EXPECT_EQ(partial.index_of(0), 0U);
  partial.disks[0].index = 1;
  const SnapshotDocument back = parse_snapshot_document(to_json(partial), "test");
  EXPECT_EQ(back, partial);
  EXPECT_EQ(back.index_of(0), 1U);
  EXPECT_EQ(back.disk("1").id, "vdb");
  EXPECT_EQ(refusal_of([&] { back.disk("0"); }).status, 2);
}

TEST(SnapshotDocument, AnIndexIsGivenOnce) {
  EXPECT_THAT(parse(with("\"size\":1073741824", "\"index\":1,\"size\":1073741824")).message,
              HasSubstr("the index 1 is given twice"));
}

TEST(SnapshotDocument, FindsADiskByIdThenByIndex) {
  const SnapshotDocument all = document();
  EXPECT_EQ(all.disk("vda").id, "vda");
  EXPECT_EQ(all.disk("0").id, "vda");
  EXPECT_EQ(all.disk("1").id, "1");
  for (const char* wrong : {"2", "", "vd", "-1", "0x0", "99999999999999999999"}) {
    const Refusal refusal = refusal_of([&] { all.disk(wrong); });
    EXPECT_EQ(refusal.status, 2);
    EXPECT_THAT(refusal.message,
                HasSubstr("has no disk \"" + std::string(wrong) + "\" (it has vda, 1)"));
  }
}

TEST(SnapshotDocument, NamesWhatItIsNot) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "doc.json: is empty, not a snapshot document"},
      {"HAMALDS\x01", "is a data stream, not a snapshot document"},
      {"{\"format\":\"hamal-extents\",\"version\":1}\n{}\n", "is an extent stream, not a snapshot"},
      {"{\"format\":\"hamal-extents\",\"version\":1}\n", "is an extent stream, not a snapshot"},
      {"hello", "is not JSON"},
      {"[]", "what is here must be an object, not an array"},
      {"{}", "is not a snapshot document: it has no field \"format\""},
      {with("hamal-snapshot", "zip"), "is \"zip\", not a snapshot document"},
      {with("\"version\":1", "\"version\":2"),
       "written by a newer hamal: version 2, this one reads 1"},
      {to_json(document()) + "{}", "is not JSON"},
      {std::string(100'000, '['), "nested more than 64 deep"},
      {"{" + std::string(17 << 20, ' '), "is larger than 16 MiB"},
  };
  for (const auto& [text, message] : cases) {
    const Refusal refusal = parse(text);
    EXPECT_THAT(refusal.message, HasSubstr(message));
    EXPECT_EQ(refusal.status, 2);
  }
}

TEST(SnapshotDocument, NamesTheField) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {with("\"platform\":\"lab\",", ""), "\"platform\" is missing"},
      {with("\"lab\"", "\"\""), "\"platform\" must not be empty"},
      {with("\"vm_id\":\"web01\"", "\"vm_id\":7"), "\"vm_id\" must be a string, not a number"},
      {with("\"snapshot_id\":\"snap-7\",", ""), "\"snapshot_id\" is missing"},
      {with("\"quiesced\":true", "\"quiesced\":1"), "\"quiesced\" must be true or false"},
      {with("\"size\":1073741824", "\"size\":-1"), "\"disks[0].size\" must not be negative"},
      {with("\"size\":1073741824", "\"size\":1.0"), "\"disks[0].size\" must be a whole number"},
      {with("\"size\":0", "\"size\":9223372036854775808"), "\"disks[1].size\" is too large"},
      {with("\"id\":\"1\"", "\"id\":\"vda\""), "the disk \"vda\" is given twice"},
      {with("\"id\":\"1\"", "\"id\":\"\""), "\"disks[1].id\" must not be empty"},
      {with(",\"source\":\"file:/b\"", ""), "\"disks[1].source\" is missing"},
      {with("file:/b", "file:/b\\u0000"), "\"disks[1].source\" holds a NUL"},
      {with("\"platform_data\":{", "\"platform_data\":[],\"x\":{"),
       "must be an object, not an array"},
      {with("\"quiesced\":true", "\"quiesced\":true,\"quiesced\":true"), "is given twice"},
      {with("\"disks\":[", "\"disks\":[],\"x\":["), "\"disks\" must not be empty"},
  };
  for (const auto& [text, message] : cases) {
    const Refusal refusal = parse(text);
    EXPECT_THAT(refusal.message, HasSubstr(message));
    EXPECT_EQ(refusal.status, 2);
  }
}

TEST(SnapshotDocument, IsAnErrorCutAnywhere) {
  const std::string text = to_json(document());
  for (std::size_t length = 0; length + 1 < text.size(); ++length) {
    EXPECT_EQ(parse(text.substr(0, length)).status, 2) << length;
  }
}

TEST(SnapshotDocument, IsNotWrittenWhenNobodyCouldReadIt) {
  SnapshotDocument bad = document();
  bad.platform_data = "[1]";
  EXPECT_THROW(to_json(bad), Error);
  bad = document();
  bad.hardware = "7";
  EXPECT_THROW(to_json(bad), Error);
  bad = document();
  bad.disks[0].source = "file:/\xff";
  EXPECT_THROW(to_json(bad), Error);
  bad = document();
  bad.disks.clear();
  EXPECT_THROW(to_json(bad), Error);
}

}  // namespace
}  // namespace hamal::test
