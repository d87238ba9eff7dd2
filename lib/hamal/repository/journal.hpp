// The journal of a staged disk: every range of it that has been given to a pack, and what of the
// plan is finished. It lies on this host beside the session's record; who goes on with the session
// believes an entry when its pack is in the store.
//
//   "HAMALJN1", then frames: kind u32, bytes u32, XXH3-64 of the payload u64, payload
// in the byte order of this host. The first frame is the heading. What follows a frame that is not
// whole is cut off: a journal that lost its end costs an upload, never correctness.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "hamal/extent/extent.hpp"
#include "hamal/repository/layer.hpp"
#include "hamal/util/unique_fd.hpp"

namespace hamal::repository {

/// Where the bytes of an entry came from.
enum class Origin : std::uint8_t { stored, shared };

struct StagedEntry {
  LayerEntry entry;
  Origin origin = Origin::stored;  ///< of data: put by this session, or there before
};

/// What of a plan is done: ranges as FinishedRanges has them.
struct StageProgress {
  std::vector<Extent> finished;
  std::uint64_t zero_bytes = 0;  ///< zeros that need no entry
};

/// Thread-safe.
class Journal {
 public:
  /// The one that is there, when its heading is this one; else an empty one. `heading` says what
  /// the entries are of: another disk, base or session makes them worthless.
  Journal(std::filesystem::path path, const std::string& heading);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  /// Handed to the kernel with the first entry of another pack, or when many wait: a process that
  /// is killed loses the places of little more than the packs it had in memory.
  void add(const StagedEntry& entry);
  /// Written after all entries that were added before.
  void note(const StageProgress& progress);
  /// Hands to the kernel what was added: it survives this process.
  void flush();
  /// The newest that was noted.
  const StageProgress& progress() const noexcept { return m_progress; }

  /// All entries, in the order in which they were added. Not while others add.
  void each(const std::function<void(const StagedEntry&)>& visit);

 private:
  bool load(const std::string& heading);
  void begin(const std::string& heading);
  void write_frame(std::uint32_t kind, const std::string& payload);
  void flush_locked();

  std::filesystem::path m_path;
  UniqueFd m_file;
  std::mutex m_mutex;
  std::string m_pending;     // packed entries not yet written
  std::uint32_t m_pack = 0;  // of the newest entry that was stored
  StageProgress m_progress;
};

/// All entries of one that somebody left; none when there is no such file.
void read_journal(const std::filesystem::path& path,
                  const std::function<void(const StagedEntry&)>& visit);

}  // namespace hamal::repository
