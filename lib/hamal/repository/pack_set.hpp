// A set of packs, kept as ranges of numbers by session: a few bytes of a document can name a
// hundred million packs, and a session's packs mostly go together.
#pragma once
#include <cstdint>
#include <functional>
#include <map>

#include "hamal/repository/names.hpp"

namespace hamal::repository {

/// Memory: in proportion to the ranges, whatever lies in them.
class PackSet {
 public:
  /// First and last number, the last included; neighbours are joined.
  using Ranges = std::map<std::uint32_t, std::uint32_t>;

  void insert(const PackName& pack) { insert(pack.session, pack.number, pack.number); }
  /// `first` <= `last` < 2^32 - 1.
  void insert(const SessionId& session, std::uint32_t first, std::uint32_t last);
  void insert(const PackSet& other);
  void erase(const PackName& pack);
  bool contains(const PackName& pack) const;
  bool empty() const noexcept { return m_sessions.empty(); }
  std::uint64_t size() const;
  /// In the order of PackName.
  void for_each(const std::function<void(const PackName&)>& act) const;
  const std::map<SessionId, Ranges>& sessions() const noexcept { return m_sessions; }
  friend bool operator==(const PackSet&, const PackSet&) = default;

 private:
  std::map<SessionId, Ranges> m_sessions;  // none of them empty
};

}  // namespace hamal::repository
