// Databases for the suites of the state: each its own, PostgreSQL's on one server of the process.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "hamal/state/state.hpp"

namespace hamal::testing {

/// `…_tomorrow`: with the tables that a next version might have, which this one has to work with.
enum class StateKind { sqlite, sqlite_tomorrow, postgresql, postgresql_tomorrow };
inline constexpr StateKind k_state_kinds[] = {StateKind::sqlite, StateKind::sqlite_tomorrow,
                                              StateKind::postgresql,
                                              StateKind::postgresql_tomorrow};
std::string to_string(StateKind kind);
/// Empty when it can be tested here.
std::string why_not(StateKind kind);

class StateDatabase {
 public:
  virtual ~StateDatabase() = default;
  virtual std::string connection() const = 0;
  /// What another version, or something else, does to it. Throws std::runtime_error.
  virtual void sql(const std::string& statement) const = 0;
  std::unique_ptr<State> open() const { return open_state(connection(), password()); }
  virtual std::string password() const { return {}; }
  /// A transaction of something else that has run the statement and does not end before the handle
  /// does.
  virtual std::shared_ptr<void> hold(const std::string& statement) const = 0;
};

std::unique_ptr<StateDatabase> make_database(StateKind kind);
/// The same without the tables.
std::unique_ptr<StateDatabase> make_empty_database(StateKind kind);

/// The server: its socket's directory, and SQL as its superuser.
std::string postgresql_directory();
void postgresql_sql(const std::string& statement);

}  // namespace hamal::testing
