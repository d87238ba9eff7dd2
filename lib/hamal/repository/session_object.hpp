// What is under sessions/ID: whose slot the session means to fill (hamal-repository(5), SESSIONS).
#pragma once
#include <string>
#include <string_view>

#include "hamal/repository/names.hpp"

namespace hamal::repository {

struct SessionObject {
  SessionId id{};
  std::string slot;     ///< key: versions/… or compactions/…
  std::string started;  ///< RFC 3339, by the writer's clock: for people
  std::string host;     ///< for people
  friend bool operator==(const SessionObject&, const SessionObject&) = default;
};

/// One line of JSON.
std::string to_text(const SessionObject& session);
/// Throws a permanent Error naming `key` and what is wrong.
SessionObject parse_session_object(std::string_view text, const std::string& key);

}  // namespace hamal::repository
