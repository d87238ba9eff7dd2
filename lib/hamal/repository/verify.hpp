// Whether every version can be restored, and which cannot, where and why.
//
// quick: every slot, every layer, and that each range's record lies inside a pack that is there.
// full: every byte of every pack that is needed, too; each record decoded and its id computed
// again, where this process may read records (else the packs' checksums stand for them).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "hamal/report/progress.hpp"
#include "hamal/repository/repository.hpp"
#include "hamal/util/cancel.hpp"

namespace hamal::repository {

enum class VerifyDepth { quick, full };

/// One disk of one version that suffers, or a whole version.
struct Damage {
  VmName vm;
  std::string vm_name;  ///< empty when the manifest cannot be read
  std::uint64_t generation = 0;
  std::string disk;            ///< id; empty: the version as a whole
  std::string object;          ///< key of the first object that is at fault
  std::string problem;         ///< what is wrong with it
  std::vector<Extent> ranges;  ///< of the disk, sorted and merged; the first k_most_ranges
  std::uint64_t bytes = 0;     ///< of the disk that suffer, all ranges
};
inline constexpr std::size_t k_most_ranges = 1000;

struct VerifyReport {
  std::uint64_t versions = 0;  ///< looked at
  std::uint64_t layers = 0;
  std::uint64_t packs = 0;       ///< needed by them
  std::uint64_t read_bytes = 0;  ///< of packs (full)
  bool decoded = false;          ///< records were decoded, not only packs checked
  std::vector<Damage> damages;
  /// Keys, sorted; also of packs that are damaged where no version reads them. Empty: all is well.
  std::vector<std::string> damaged_objects;
};

struct VerifyRequest {
  Repository& repository;
  std::vector<VmName> vms;
  VerifyDepth depth = VerifyDepth::quick;
  Progress& progress;
  const CancelToken& cancel;
};

/// Damage is in the report; throws only for what keeps it from looking (the store cannot be
/// reached, interrupts).
VerifyReport verify(const VerifyRequest& request);

}  // namespace hamal::repository
