// What a connection is that an operator did not spell out: above all, how it is protected.
//
// Break it: make the default `require`, or take is_all_local() for a part of the hosts.
#include "hamal/state/postgresql_url.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

std::string of(const std::string& url, const std::string& keyword) {
  for (const auto& [key, value] : postgresql_parameters(url, {})) {
    if (key == keyword) {
      return value;
    }
  }
  return {};
}

constexpr const char* k_authorities = "/etc/ssl/certs/ca-certificates.crt";

TEST(PostgresqlUrl, AServerOnAnotherHostIsVerifiedUnlessTheUrlSaysOtherwise) {
  for (const char* url :
       {"postgresql://u@db.example.com/hamal", "postgresql://u@10.0.0.7:5433/hamal",
        "postgresql://u@localhost,db.example.com/hamal", "postgresql://u@[2001:db8::1]/hamal",
        "postgresql://u@localhost/hamal?hostaddr=10.0.0.7", "postgresql://u@/hamal?host=db2",
        "postgresql://u@localhost,10.0.0.7/hamal?hostaddr=127.0.0.1,",
        "postgresql://u@127.example.com/hamal", "postgresql:///hamal?service=prod"}) {
    EXPECT_EQ(of(url, "sslmode"), "verify-full") << url;
    EXPECT_EQ(of(url, "sslrootcert"), k_authorities) << url;
  }
  EXPECT_EQ(of("postgresql://u@db/hamal?sslrootcert=/etc/own.pem", "sslrootcert"), "/etc/own.pem");
  EXPECT_EQ(of("postgresql://u@db/hamal?sslrootcert=/etc/own.pem", "sslmode"), "verify-full");
  EXPECT_EQ(of("postgresql://u@db/hamal?sslmode=verify-ca", "sslrootcert"), k_authorities);
  EXPECT_EQ(of("postgresql://u@db/hamal?sslmode=require", "sslmode"), "require");
  EXPECT_EQ(of("postgresql://u@db/hamal?sslmode=require", "sslrootcert"), "");
  EXPECT_EQ(of("postgresql://u@db/hamal?sslmode=disable", "sslmode"), "disable");
}

TEST(PostgresqlUrl, OneOnThisHostNeedsNoCertificate) {
  for (const char* url :
       {"postgresql:///hamal", "postgresql://u@/hamal?host=/run/postgresql",
        "postgresql://u@localhost/hamal", "postgresql://u@127.0.0.1/hamal",
        "postgresql://u@[::1]/hamal", "postgresql://u@localhost,127.0.0.2/hamal"}) {
    EXPECT_EQ(of(url, "sslmode"), "") << url;
    EXPECT_EQ(of(url, "sslrootcert"), "") << url;
  }
}

// libpq asks the environment for what the URL does not say.
TEST(PostgresqlUrl, AServerThatTheEnvironmentNamesIsVerified) {
  const auto mode_with = [](const char* variable, const char* url) {
    ::setenv(variable, "db.example.com", 1);
    const std::string mode = of(url, "sslmode");
    ::unsetenv(variable);
    return mode;
  };
  EXPECT_EQ(mode_with("PGHOST", "postgresql:///hamal"), "verify-full");
  EXPECT_EQ(mode_with("PGHOST", "postgresql://u@localhost/hamal"), "");
  EXPECT_EQ(mode_with("PGHOSTADDR", "postgresql://u@localhost/hamal"), "verify-full");
  EXPECT_EQ(mode_with("PGHOSTADDR", "postgresql://u@localhost/hamal?hostaddr=127.0.0.1"), "");
  EXPECT_EQ(mode_with("PGSERVICE", "postgresql://u@localhost/hamal"), "verify-full");
}

TEST(PostgresqlUrl, ThePasswordIsTheUrlsElseTheConfigurations) {
  const auto password = [](const std::string& url, const std::string& other) {
    for (const auto& [key, value] : postgresql_parameters(url, other)) {
      if (key == "password") {
        return value;
      }
    }
    return std::string();
  };
  EXPECT_EQ(password("postgresql://u@/hamal", "other"), "other");
  EXPECT_EQ(password("postgresql://u:own@/hamal", "other"), "own");
  EXPECT_EQ(connection_name(postgresql_parameters("postgresql://u:own@db:7/hamal", "")),
            "postgresql://u@db:7/hamal");
}

TEST(PostgresqlUrl, ValuesAreQuoted) {
  EXPECT_EQ(connection_string({{"user", "it's"}, {"password", "a\\b"}}),
            "user='it\\'s' password='a\\\\b'");
}

TEST(PostgresqlUrl, WhatIsNoneIsNotRepeated) {
  try {
    postgresql_parameters("postgresql://u:hidden@[::1/hamal", {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(exit_status(error), ExitStatus::usage);
    EXPECT_EQ(std::string(error.what()).find("hidden"), std::string::npos);
  }
}

}  // namespace
}  // namespace hamal
