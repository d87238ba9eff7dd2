// A change id of FusionCompute: which volume, at which snapshot, by which count.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hamal::fusioncompute {

/// Text: "fc1" and the fields in this order, percent-encoded, with "/" between them. Host and
/// datastore are there because the count lives where the vm runs: a vm that moved is read in full.
struct ChangeId {
  std::string volume_urn;
  std::string snapshot_urn;
  std::string snap_uuid;
  std::string tracking_begun;       ///< volCBTCreateTime
  std::uint64_t change_number = 0;  ///< chgID
  std::uint64_t size = 0;           ///< bytes
  std::string host_urn;
  std::string datastore_urn;
  friend bool operator==(const ChangeId&, const ChangeId&) = default;
};

std::string to_string(const ChangeId& id);
/// nullopt when it is none.
std::optional<ChangeId> parse_change_id(std::string_view text);

/// Why what changed from one to the other is not known, by what the ids say; empty when it is.
std::string why_not_comparable(const ChangeId& base, const ChangeId& now);

}  // namespace hamal::fusioncompute
