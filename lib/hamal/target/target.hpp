// Where a disk is written. One implementation per kind; all of them in place (a repository target
// comes with repository/).
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "hamal/block/block_reader.hpp"
#include "hamal/block/block_writer.hpp"
#include "hamal/block/endpoint.hpp"

namespace hamal {

enum class Resize { refuse, allow };
enum class Force { no, yes };

struct TargetOptions {
  Resize resize = Resize::refuse;
  /// Overrides the refusals that protect a device that looks used (rule 10), never those of one in
  /// use.
  Force force = Force::no;
  /// Whether a file that is not there is made. A delta, or the rest of a copy, has no use for it.
  bool create = true;
  /// A checkpoint of this target exists: a signature on the device is then expected.
  bool known = false;
  /// Waiting for a server ends when it is requested; outlives the target. Null: nobody cancels.
  const CancelToken* cancel = nullptr;
};

/// Thread-safe as its writer. Not copyable.
class Target {
 public:
  virtual ~Target() = default;
  /// Identity, the same whatever the URI, and before the target exists: "file:REALPATH",
  /// "device:SERIAL…", "nbd:…", "rbd:CLUSTER/POOL/ID" (which alone is another as long as there is
  /// no image). Key of checkpoints and locks. Hard links differ in it; the lock on the open file
  /// keeps their runs apart.
  virtual const std::string& canonical() const noexcept = 0;
  /// True when this run created it: it holds nothing, unwritten ranges read as zeros.
  virtual bool created() const noexcept = 0;
  /// What Force::yes overrode, in the words of the refusal; empty when nothing stood in the way.
  virtual std::string overridden() const { return {}; }
  /// True when this run changed its size: what it held is not what it was.
  virtual bool resized() const noexcept { return false; }
  virtual BlockWriter& writer() noexcept = 0;
  /// Reads the same bytes back (after flush()); for comparing and for the disk flag.
  virtual std::unique_ptr<BlockReader> open_reader() = 0;
};

/// The identity without opening for writing, and before the target exists (a file: its canonical
/// path).
std::string canonical_target(const Endpoint& endpoint);

/// Whether there is something to open; of an NBD export only trying tells, so it is said of each.
bool target_exists(const Endpoint& endpoint);

/// Opens or creates the target for a disk of `size` bytes. Throws wrong_target (exit 6) when it is
/// of another size (and Resize::refuse) or in use; nothing has been written then.
std::unique_ptr<Target> open_target(const Endpoint& endpoint, std::uint64_t size,
                                    const TargetOptions& options);

/// Replaces {vm} {vm_id} {disk} {index} in a target pattern; parts are made safe for a file name
/// ("/" and control characters become "_"). Throws Error(usage) for an unknown {word}.
std::string expand_target_pattern(const std::string& pattern, const std::string& vm,
                                  const std::string& vm_id, const std::string& disk,
                                  std::size_t index);

}  // namespace hamal
