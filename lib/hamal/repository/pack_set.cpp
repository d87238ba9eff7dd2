#include "hamal/repository/pack_set.hpp"

#include <algorithm>

namespace hamal::repository {

void PackSet::insert(const SessionId& session, std::uint32_t first, std::uint32_t last) {
  Ranges& ranges = m_sessions[session];
  auto next = ranges.upper_bound(first);
  if (next != ranges.begin()) {
    const auto before = std::prev(next);
    if (std::uint64_t{before->second} + 1 >= first) {
      first = before->first;
      last = std::max(last, before->second);
      next = ranges.erase(before);
    }
  }
  while (next != ranges.end() && next->first <= std::uint64_t{last} + 1) {
    last = std::max(last, next->second);
    next = ranges.erase(next);
  }
  ranges.emplace_hint(next, first, last);
}

void PackSet::insert(const PackSet& other) {
  for (const auto& [session, ranges] : other.m_sessions) {
    for (const auto& [first, last] : ranges) {
      insert(session, first, last);
    }
  }
}

void PackSet::erase(const PackName& pack) {
  const auto session = m_sessions.find(pack.session);
  if (session == m_sessions.end()) {
    return;
  }
  Ranges& ranges = session->second;
  const auto after = ranges.upper_bound(pack.number);
  if (after == ranges.begin() || std::prev(after)->second < pack.number) {
    return;
  }
  const auto [first, last] = *std::prev(after);
  ranges.erase(first);
  if (first < pack.number) {
    ranges.emplace(first, pack.number - 1);
  }
  if (pack.number < last) {
    ranges.emplace(pack.number + 1, last);
  }
  if (ranges.empty()) {
    m_sessions.erase(session);
  }
}

bool PackSet::contains(const PackName& pack) const {
  const auto session = m_sessions.find(pack.session);
  if (session == m_sessions.end()) {
    return false;
  }
  const auto after = session->second.upper_bound(pack.number);
  return after != session->second.begin() && std::prev(after)->second >= pack.number;
}

std::uint64_t PackSet::size() const {
  std::uint64_t count = 0;
  for (const auto& session : m_sessions) {
    for (const auto& [first, last] : session.second) {
      count += std::uint64_t{last} - first + 1;
    }
  }
  return count;
}

void PackSet::for_each(const std::function<void(const PackName&)>& act) const {
  for (const auto& [session, ranges] : m_sessions) {
    for (const auto& [first, last] : ranges) {
      for (std::uint64_t number = first; number <= last; ++number) {
        act({session, static_cast<std::uint32_t>(number)});
      }
    }
  }
}

}  // namespace hamal::repository
