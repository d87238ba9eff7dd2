#include "hamal/state/database.hpp"

#include <fmt/core.h>

#include <typeinfo>

#include "hamal/util/error.hpp"

namespace hamal {

std::string busy_hint(const Patience& patience) {
  return fmt::format("it was busy for {} s; try again",
                     static_cast<double>(patience.lock.count()) / 1000.0);
}

void Database::attempt(const std::function<void()>& body) {
  m_repeated = false;
  while (true) {
    try {
      body();
      return;
    } catch (const soci::soci_error& error) {
      if (!recover(error)) {
        throw Error(ErrorKind::failed, std::string("state database: ") + error.what(), m_name);
      }
    } catch (const std::bad_cast&) {
      throw Error(ErrorKind::failed, "the state database holds a value of an unexpected type",
                  m_name, "it was changed by something else; restore it from a backup");
    }
    m_repeated = true;
  }
}

void Database::run(const std::function<void()>& body) {
  attempt(body);
}

void Database::transact(const std::string& key, const std::function<void()>& body) {
  attempt([&] {
    try {
      begin(key);
      body();
      m_sql << "COMMIT";
    } catch (...) {
      try {
        m_sql << "ROLLBACK";
      } catch (const soci::soci_error&) {  // the first error is the one to report
      }
      throw;
    }
  });
}

}  // namespace hamal
