// The data stream on stdout.
#include <filesystem>

#include "hamal-cbt-read/guarded.hpp"
#include "hamal-cbt-read/read.hpp"
#include "hamal/extent/spool.hpp"
#include "hamal/stream/data_stream.hpp"
#include "hamal/sync/plan.hpp"
#include "hamal/sync/read_ahead.hpp"

namespace hamal {
namespace {

/// The plan is sent first and read again for the data: it is kept in a file, whose name is gone as
/// soon as it is open.
std::vector<Spool> spool_plans(std::vector<DiskChanges>& changes, const CancelToken& cancel) {
  const std::vector<PlannedDisk> planned =
      collect_plans(changes, std::filesystem::temp_directory_path(), cancel);
  std::vector<Spool> spools;
  for (const PlannedDisk& disk : planned) {
    spools.emplace_back(disk.plan.path());
  }
  return spools;
}

void send_disk(DataStreamWriter& writer, std::size_t index, BlockReader& reader, const Spool& spool,
               const std::string& object, Session& session) {
  session.progress().phase(object, "reading", spool.totals().data_bytes);
  ReadAhead ahead(reader, spool.extents(), session.cancel());
  Piece piece;
  while (ahead.next(piece)) {
    if (piece.kind == ExtentKind::zero) {
      writer.zero(index, piece.offset, piece.length);
    } else {
      writer.data(index, piece.offset, piece.bytes);
      session.progress().advance(object, piece.length);
    }
  }
  session.progress().done(object);
}

}  // namespace

void print_data(ReadSource& source, const BaseChooser& choose, Session& session) {
  StdoutSink sink(session.cancel());
  guarded_stream<DataStreamWriter>(source, sink, [&](auto emplace) {
    std::vector<DiskChanges> changes =
        read_changes(*source.platform, source.document, source.disks, choose);
    const StreamHeader header = stream_header(source.document, changes);
    const std::vector<Spool> spools = spool_plans(changes, session.cancel());
    DataStreamWriter& writer = emplace(header);
    std::vector<Extent> window;
    for (std::size_t i = 0; i < spools.size(); ++i) {
      const ExtentSourcePtr plan = spools[i].extents();
      while (plan->next(window)) {
        session.cancel().check();
        writer.plan(i, window);
      }
    }
    for (std::size_t i = 0; i < spools.size(); ++i) {
      const SnapshotDisk& disk = source.document.disks[source.disks[i]];
      session.log().info("disk {}: {} ({}), {} bytes", disk.id, to_string(header.disks[i].mode),
                         header.disks[i].reason, spools[i].totals().data_bytes);
      const auto reader = source.platform->open_reader(disk);
      send_disk(writer, i, *reader, spools[i], source.document.vm_name + "/" + disk.id, session);
    }
    for (const std::size_t place : source.disks) {
      source.platform->verify_snapshot(source.document.vm_id, source.document.snapshot_id,
                                       source.document.disks[place]);
    }
    writer.finish();
  });
}

}  // namespace hamal
