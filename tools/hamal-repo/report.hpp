// The reports of hamal-repo: tables for people, JSON for scripts.
#pragma once
#include <string>
#include <vector>

#include "common/common_options.hpp"
#include "hamal/repository/manifest.hpp"

namespace hamal {

/// Bytes of one version, all disks together.
struct VersionSizes {
  std::uint64_t logical = 0;  ///< of the disks
  std::uint64_t changed = 0;  ///< that the run found changed: data and zeros
  std::uint64_t stored = 0;   ///< that it added to the repository
  std::uint64_t shared = 0;   ///< that were there already
};
VersionSizes sizes_of(const repository::Manifest& version);

std::string report_versions(const std::vector<repository::Manifest>& versions, ReportFormat format);
std::string report_version(const repository::Manifest& version, ReportFormat format);

}  // namespace hamal
