// What a disk has only sometimes: its place in its vm survives a stream of chosen disks, and so
// does the way it is read.
#include <gtest/gtest.h>

#include <string>

#include "hamal/stream/extent_stream.hpp"
#include "hamal/util/unique_fd.hpp"

namespace hamal {
namespace {

TEST(StreamDiskIndex, ChosenDisksKeepTheirPlaceAndOthersNeedNoField) {
  StreamHeader header;
  header.platform = "lab";
  header.vm_id = "vm";
  header.disks.resize(2);
  header.disks[0].id = "vdb";
  header.disks[0].index = 1;
  header.disks[1].id = "vdc";
  header.disks[1].index = 1;  // its place in the stream: not written
  header.disks[0].read_by = "vddk";
  header.disks[0].read_by_reason = "VDDK is configured";
  header.disks[0].size = header.disks[1].size = 4096;
  std::string text;
  ExtentStreamWriter writer([&](std::string_view bytes) { text += bytes; }, header);
  writer.finish();
  EXPECT_NE(text.find("\"index\":1}"), std::string::npos) << text;
  EXPECT_EQ(text.find("\"index\""), text.rfind("\"index\"")) << text;
  EXPECT_EQ(text.find("\"read_by\""), text.rfind("\"read_by\"")) << text;

  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const UniqueFd in(ends[0]);
  {
    const UniqueFd out(ends[1]);
    ASSERT_EQ(::write(out.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  ExtentStreamReader reader(in.get(), "test");
  EXPECT_EQ(reader.header(), header);
}

}  // namespace
}  // namespace hamal
