// The examples of hamal-stream(5) are what the tools read and write.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>

#include "feed.hpp"
#include "hamal/stream/snapshot_document.hpp"

namespace hamal::test {
namespace {

std::string page() {
  // The compiler was given this file as seen from the build folder, where this program is
  // tests/unit/unit_stream.
  const auto build = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "../..";
  const auto path =
      build / std::filesystem::path(__FILE__).parent_path() / "../../../man/hamal-stream.5";
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

/// As a reader of the page sees it, folded lines joined.
std::string example(const std::string& name) {
  const std::string text = page();
  const std::string start = ".\\\" example: " + name + "\n.EX\n";
  const std::size_t begin = text.find(start);
  EXPECT_NE(begin, std::string::npos) << name;
  const std::size_t body = begin + start.size();
  std::string found = text.substr(body, text.find(".EE\n", body) - body);
  found = std::regex_replace(found, std::regex("\\\\e\n *"), "");
  replace_all(found, "\\-", "-");
  replace_all(found, "\\(aq", "'");
  return found;
}

/// "offset  16 hex bytes  |text|" lines to bytes.
std::string from_hexdump(const std::string& dump) {
  std::string bytes;
  std::istringstream lines(dump);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line.substr(0, line.find('|')));
    std::string offset;
    words >> offset;
    EXPECT_EQ(std::stoul(offset, nullptr, 16), bytes.size()) << line;
    for (std::string byte; words >> byte;) {
      bytes += static_cast<char>(std::stoi(byte, nullptr, 16));
    }
  }
  return bytes;
}

TEST(StreamPage, TheSnapshotDocumentIsWrittenThus) {
  const std::string text = example("snapshot document");
  const SnapshotDocument document = parse_snapshot_document(text, "the page");
  EXPECT_EQ(document.disk("vda").source, "lab:web01/vda@hamal-1a2b3c4d-7");
  EXPECT_EQ(to_json(document), text);
}

TEST(StreamPage, TheExtentStreamIsWrittenThus) {
  const std::string text = example("extent stream");
  const UniqueFd fd = memory_file(text);
  ExtentStreamReader reader(fd.get(), "the page");
  std::string written;
  ExtentStreamWriter writer(append_to(written), reader.header());
  std::size_t disk = 0;
  for (std::vector<Extent> window; reader.next(disk, window);) {
    writer.extents(disk, window);
  }
  writer.finish();
  EXPECT_EQ(written, text);
}

TEST(StreamPage, TheErrorRecordIsWrittenThus) {
  std::string written;
  ExtentStreamWriter writer(append_to(written), one_disk());
  written.clear();
  writer.fail(ExitStatus::base_mismatch, "bitmap 'hamal-7' is inconsistent");
  EXPECT_EQ(written, example("error record"));
}

TEST(StreamPage, TheDataStreamIsWrittenThus) {
  const std::string bytes = from_hexdump(example("data stream"));
  const UniqueFd fd = memory_file(bytes);
  DataStreamReader reader(fd.get(), "the page");
  std::string written;
  DataStreamWriter writer(append_to(written), reader.header());
  for (;;) {
    const StreamRecord record = reader.next();
    if (const auto* plan = std::get_if<PlanRecord>(&record)) {
      writer.plan(plan->disk, plan->extents);
    } else if (const auto* data = std::get_if<DataRecord>(&record)) {
      writer.data(data->disk, data->offset, data->bytes);
    } else if (const auto* zero = std::get_if<ZeroRecord>(&record)) {
      writer.zero(zero->disk, zero->offset, zero->length);
    } else {
      break;
    }
  }
  writer.finish();
  EXPECT_EQ(written, bytes);
}

}  // namespace
}  // namespace hamal::test
