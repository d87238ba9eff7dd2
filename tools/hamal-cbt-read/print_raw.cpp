// A plain image on stdout.
#include <fmt/core.h>

#include <algorithm>
#include <string>

#include "hamal-cbt-read/read.hpp"
#include "hamal/sync/read_ahead.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

constexpr std::size_t k_zeros = 64 * 1024;

void send_zeros(std::uint64_t length, const CancelToken& cancel) {
  static const std::string zeros(k_zeros, '\0');
  while (length > 0) {
    const std::size_t now = std::min<std::uint64_t>(length, zeros.size());
    write_stdout(std::string_view(zeros).substr(0, now), cancel);
    length -= now;
  }
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

void print_raw(ReadSource& source, Session& session) {
  const SnapshotDocument& document = source.document;
  if (source.disks.size() != 1) {
    throw Error(ErrorKind::usage,
                fmt::format("--raw prints one disk, the snapshot has {}", source.disks.size()),
                document.platform + ":" + document.vm_id, "choose one with --disk");
  }
  std::vector<DiskChanges> changes =
      read_changes(*source.platform, document, source.disks, full_base("--raw was asked for"));
  const SnapshotDisk& disk = document.disks[source.disks.front()];
  const std::string object = document.vm_name + "/" + disk.id;
  const auto reader = source.platform->open_reader(disk);
  if (reader->size() != disk.size) {
    throw Error(
        ErrorKind::failed,
        fmt::format("has {} bytes now, the snapshot document says {}", reader->size(), disk.size),
        reader->uri());
  }
  session.progress().phase(object, "reading", disk.size);
  ReadAhead ahead(*reader, std::move(changes.front().extents), session.cancel());
  std::uint64_t end = 0;
  Piece piece;
  while (ahead.next(piece)) {
    const std::uint64_t gap = piece.offset - end;
    send_zeros(piece.kind == ExtentKind::zero ? gap + piece.length : gap, session.cancel());
    write_stdout(as_text(piece.bytes), session.cancel());
    session.progress().advance(object, gap + piece.length);
    end = piece.offset + piece.length;
  }
  send_zeros(disk.size - end, session.cancel());
  source.platform->verify_snapshot(document.vm_id, document.snapshot_id, disk);
  session.progress().done(object);
}

}  // namespace hamal
