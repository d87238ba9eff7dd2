// The pin of a public key, as curl and RFC 7469 have it.
#include "hamal/net/public_key.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

constexpr const char* k_pem = R"(-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
)";

TEST(PublicKey, ItsPinIsTheDigestOfItsDer) {
  // openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64
  EXPECT_EQ(public_key_pin(k_pem, "key"), "sha256//oekVYFTgT6yJmunydRMs3Ael28TqLCrTof/G4NJTaB8=");
}

TEST(PublicKey, AnythingElseIsRefused) {
  for (const char* wrong :
       {"", "key", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}) {
    EXPECT_THROW(public_key_pin(wrong, "key"), Error) << wrong;
  }
}

}  // namespace
}  // namespace hamal
