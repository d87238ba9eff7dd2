// A frozen view exported once more, with the union of some bitmaps: to read what they say over NBD.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "hamal/block/nbd_reader.hpp"
#include "hamal/platform/qemu/names.hpp"
#include "hamal/platform/qemu/qmp_client.hpp"
#include "hamal/report/log.hpp"

namespace hamal::qemu {

/// What reading a snapshot needs of the platform; outlives neither logger nor cancel token.
struct ReadContext {
  QmpSettings qmp;
  std::string nbd_socket;
  std::string spool_directory;
  Logger& log;
  const CancelToken& cancel;
};

/// Where a frozen disk stands in QEMU.
struct FrozenPlace {
  SnapshotName snapshot;
  std::string frozen;  ///< node of the frozen view
  std::string format;  ///< node that carries the bitmaps
};

/// Export and bitmap live as long as the object. Not thread-safe.
class TemporaryExport {
 public:
  /// QEMU finishes every request that has begun before it takes the union of `bitmaps`.
  TemporaryExport(const ReadContext& context, const FrozenPlace& place,
                  const std::vector<std::string>& bitmaps, std::uint64_t granularity);
  ~TemporaryExport();
  TemporaryExport(const TemporaryExport&) = delete;
  TemporaryExport& operator=(const TemporaryExport&) = delete;

  /// What is dirty in the union; keeps `self` until it is destroyed.
  static ExtentSourcePtr dirty(std::shared_ptr<TemporaryExport> self);

 private:
  void end() noexcept;

  ReadContext m_context;
  std::string m_format;
  std::string m_name;
  std::unique_ptr<NbdReader> m_reader;
};

}  // namespace hamal::qemu
