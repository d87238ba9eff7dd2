// An [s3 NAME] section as the client needs it.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "hamal/util/host_mapping.hpp"

namespace hamal {

struct Config;
struct Endpoint;

struct S3Options {
  std::string uri;     ///< s3://NAME/PREFIX
  std::string scheme;  ///< https or http
  std::string host;    ///< HOST[:PORT] in lower case, without the scheme's own port
  std::string region;
  std::string bucket;
  std::string prefix;  ///< without "/" at its ends
  std::string access_key;
  std::string secret_key;
  std::string session_token;
  std::string ca_file;
  std::vector<HostMapping> mappings;
  bool virtual_style = false;
  unsigned parallel_requests = 16;
  std::chrono::milliseconds retry_max{60'000};
  std::chrono::milliseconds request_timeout{30'000};
  std::chrono::milliseconds list_lag{0};
  std::uint64_t part_size = 16U << 20U;
  bool remove_versions = true;
  bool verify_etag = true;
  std::string object_lock_mode;  ///< GOVERNANCE or COMPLIANCE
};

/// Resolves the secrets. Throws Error(usage) that names the section and the key.
S3Options read_s3_options(const Endpoint& endpoint, const Config& config);

}  // namespace hamal
