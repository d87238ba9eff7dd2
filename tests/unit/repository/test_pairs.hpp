// Key pairs for tests, made by openssl genpkey -algorithm X25519; they protect nothing.
#pragma once

namespace hamal::repository {

struct TestPair {
  const char* private_key;
  const char* public_key;
};

inline constexpr TestPair k_alice{
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VuBCIEIGBUMW7I8xGVcCnsHMrA0C7aTpCWOwFcWL+e6a1HL5lf\n"
    "-----END PRIVATE KEY-----\n",
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VuAyEAxUs7VcEyzRrnk33hQAA/IGKV4KYw9ma4TpepH/Ul1jE=\n"
    "-----END PUBLIC KEY-----\n"};
inline constexpr TestPair k_bob{
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VuBCIEIJBkXPS1KXYg+98mzIn0llLfu/8rkRcOiCbDrFWHH/9k\n"
    "-----END PRIVATE KEY-----\n",
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VuAyEAytzfelY+YQ7DzK+SjHudsQ822cSHXl1KBxNoeBz+MiU=\n"
    "-----END PUBLIC KEY-----\n"};
inline constexpr TestPair k_carol{
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VuBCIEIKAxrYA90q/C7p/CUp8BCF9PdxFsF6bW2iH1ADu5hZZM\n"
    "-----END PRIVATE KEY-----\n",
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VuAyEAHT/gRwAWbeE+mRQBAW5Khnxp5F2fLZDIZMKmXNM6Imo=\n"
    "-----END PUBLIC KEY-----\n"};
/// Of another kind.
inline constexpr TestPair k_ed25519{
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIMKWVl+HULo4uf0AWEW6vBGjtfUVfiOLWhKQeh1sLiQq\n"
    "-----END PRIVATE KEY-----\n",
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VwAyEAxik/y9NwiNP/UnpKx7id0TXTFewVdEcUt0ONIOEYTzs=\n"
    "-----END PUBLIC KEY-----\n"};
inline constexpr const char* k_with_passphrase =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
    "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAiMazVPc0UU3AICCAAw\n"
    "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEMSmoocGTvWZQZffo6Y8yWoEQKMs\n"
    "4wGe/CDzTemiRNadEuTYILmytQDJ1ul60VQJ55zyocgZQ1G+sX4QfVQpgZqh6pyx\n"
    "dSZv1vInSTNq0jf33BQ=\n"
    "-----END ENCRYPTED PRIVATE KEY-----\n";

}  // namespace hamal::repository
