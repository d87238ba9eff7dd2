// The extent stream on stdout.
#include <fmt/core.h>

#include "hamal-cbt-read/guarded.hpp"
#include "hamal-cbt-read/read.hpp"
#include "hamal/stream/extent_stream.hpp"

namespace hamal {

StreamHeader header_of_failure(const ReadSource& source) {
  std::vector<DiskChanges> disks;
  for (const std::size_t place : source.disks) {
    const SnapshotDisk& disk = source.document.disks[place];
    StreamDisk header;
    header.id = disk.id;
    header.label = disk.label;
    header.size = disk.size;
    header.reason = "the changes could not be read";
    header.source = disk.source;
    disks.push_back({header, nullptr});
  }
  return stream_header(source.document, disks);
}

void print_extents(ReadSource& source, const BaseChooser& choose, Session& session) {
  StdoutSink sink(session.cancel());
  guarded_stream<ExtentStreamWriter>(source, sink, [&](auto emplace) {
    std::vector<DiskChanges> changes =
        read_changes(*source.platform, source.document, source.disks, choose);
    for (const DiskChanges& disk : changes) {
      session.log().info("disk {}: {} ({})", disk.header.id, to_string(disk.header.mode),
                         disk.header.reason);
    }
    ExtentStreamWriter& writer = emplace(stream_header(source.document, changes));
    std::vector<Extent> window;
    std::size_t open = changes.size();
    while (open > 0) {
      for (std::size_t i = 0; i < changes.size(); ++i) {
        session.cancel().check();
        if (!changes[i].extents) {
          continue;
        }
        if (changes[i].extents->next(window)) {
          writer.extents(i, window);
        } else {
          changes[i].extents.reset();  // ends what it held open at the platform
          --open;
        }
      }
    }
    writer.finish();
  });
}

}  // namespace hamal
