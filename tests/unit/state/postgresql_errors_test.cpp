// What libpq says of a connection that was not made: refused for good, or worth another try.
//
// Break it: judge by `role "` or `database "` alone, and a full server ends hamal-period.
#include "hamal/state/postgresql_errors.hpp"

#include <gtest/gtest.h>

namespace hamal {
namespace {

TEST(PostgresqlErrors, AServerThatIsFullOrBusyIsTriedAgain) {
  for (const char* text :
       {"FATAL:  too many connections for database \"hamal\"",
        "FATAL:  too many connections for role \"hamal\"",
        "FATAL:  database \"hamal\" is not currently accepting connections",
        "FATAL:  sorry, too many clients already", "FATAL:  the database system is starting up",
        "could not connect to server: Connection refused"}) {
    const Error error = why_no_connection(text, "db");
    EXPECT_EQ(error.kind(), ErrorKind::failed) << text;
    EXPECT_TRUE(error.transient()) << text;
  }
}

TEST(PostgresqlErrors, WhatOnlyAnOperatorMendsIsRefused) {
  for (const char* text : {"FATAL:  role \"hamal\" does not exist",
                           "FATAL:  role \"hamal\" is not permitted to log in",
                           "FATAL:  database \"hamal\" does not exist",
                           "FATAL:  permission denied for database \"hamal\"",
                           "FATAL:  password authentication failed for user \"hamal\"",
                           "SSL error: certificate verify failed"}) {
    EXPECT_EQ(why_no_connection(text, "db").kind(), ErrorKind::usage) << text;
  }
}

TEST(PostgresqlErrors, AWrongHostAndAWrongAuthorityAreTold) {
  const auto said = [](const char* text) {
    return std::string(why_no_connection(text, "db").what());
  };
  const std::string host =
      said("server certificate for \"a.test\" does not match host name \"b.test\"");
  EXPECT_NE(host.find("of another host"), std::string::npos) << host;
  const std::string authority = said("SSL error: certificate verify failed");
  EXPECT_NE(authority.find("sslrootcert=FILE"), std::string::npos) << authority;
}

}  // namespace
}  // namespace hamal
