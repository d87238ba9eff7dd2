// What prune rounds leave in the store: condemned/N, verdicts/N (hamal-repository(5), PRUNING).
#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "hamal/repository/keyring.hpp"
#include "hamal/repository/pack_set.hpp"

namespace hamal::repository {

/// What one round drops, and what it may delete; of a verdict the versions are those dropped, the
/// rest is what is deleted.
struct CondemnedRound {
  std::set<std::string> versions;  ///< slot keys
  PackSet packs;
  std::set<std::string> objects;  ///< keys of layers, sessions, staged parts, compactions
  friend bool operator==(const CondemnedRound&, const CondemnedRound&) = default;
};

std::string to_text(const CondemnedRound& round, const std::string& key, const Keyring& keyring);
/// Throws a permanent Error naming `key`. Memory: in proportion to the text.
CondemnedRound parse_condemned(std::string_view text, const std::string& key,
                               const Keyring& keyring);

/// All rounds together, as a writer must see them.
struct Condemned {
  std::set<std::string> versions;  ///< slot keys dropped, of all rounds
  PackSet packs;                   ///< of rounds that are not done
  std::set<std::string> objects;   ///< of rounds that are not done
};

}  // namespace hamal::repository
