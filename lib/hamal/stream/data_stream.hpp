// The data stream: binary, self-contained, for `hamal-cbt-read --data | ssh … hamal-sync -`
// (hamal-stream(5), DATA STREAM). Record order: header, every disk's plan (extents), data and zero
// records in any interleaving of disks, then end or error. The plan comes before the first byte of
// data so that the receiver can record what it is going to change before it changes it (design rule
// 2).
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "hamal/extent/extent.hpp"
#include "hamal/stream/extent_stream.hpp"
#include "hamal/stream/stream_header.hpp"

namespace hamal {

/// The first bytes of a data stream: lets hamal-sync tell the two formats apart.
inline constexpr std::string_view k_data_stream_magic{"HAMALDS\x01", 8};
/// The largest payload of one data record, bytes.
inline constexpr std::uint32_t k_max_data_record = 4U << 20;

class DataStreamWriter {
 public:
  DataStreamWriter(ByteSink sink, const StreamHeader& header);
  ~DataStreamWriter();
  /// All plan() calls precede the first data() or zero().
  void plan(std::size_t disk, std::span<const Extent> extents);
  void data(std::size_t disk, std::uint64_t offset, std::span<const std::byte> bytes);
  void zero(std::size_t disk, std::uint64_t offset, std::uint64_t length);
  void finish();
  void fail(ExitStatus status, std::string_view message);

 private:
  struct State;
  std::unique_ptr<State> m_state;
};

struct PlanRecord {
  std::size_t disk;
  std::vector<Extent> extents;
};
struct DataRecord {
  std::size_t disk;
  std::uint64_t offset;
  std::span<const std::byte> bytes;  ///< valid until the next call of next()
};
struct ZeroRecord {
  std::size_t disk;
  std::uint64_t offset;
  std::uint64_t length;
};
struct EndRecord {};
using StreamRecord = std::variant<PlanRecord, DataRecord, ZeroRecord, EndRecord>;

/// Validates checksums, record order, bounds, that data and zero records of a disk ascend, and
/// totals: at the end record each disk's data and zero bytes together equal those of its plan. That
/// every record lies *inside* the plan is checked by the consumer, which holds the plan (sync/). A
/// violation throws an Error that names the record's number and byte offset; an error record throws
/// StreamFailed. After EndRecord the input must end.
class DataStreamReader {
 public:
  /// Reads the header. `fd` is borrowed; `name` names it in errors; `prefix` is what
  /// detect_stream() has read of it.
  DataStreamReader(int fd, std::string name, std::string prefix = {});
  ~DataStreamReader();
  const StreamHeader& header() const noexcept;
  StreamRecord next();

 private:
  struct State;
  std::unique_ptr<State> m_state;
};

}  // namespace hamal
