#include "hamal/store/s3_options.hpp"

#include <fmt/format.h>

#include "hamal/block/endpoint.hpp"
#include "hamal/config/config.hpp"
#include "hamal/config/values.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/text.hpp"
#include "hamal/util/units.hpp"

namespace hamal {
namespace {

[[noreturn]] void refuse(const NamedSection& section, const std::string& key,
                         const std::string& what) {
  const auto found = section.origins.find(key);
  const ConfigOrigin& origin = found == section.origins.end() ? section.origin : found->second;
  throw Error(ErrorKind::usage, fmt::format("[s3 {}] {}: {}", section.name, key, what),
              fmt::format("{}:{}", origin.file, origin.line));
}

void set_address(S3Options& options, const NamedSection& section) {
  const std::string endpoint = to_lower(section.require("endpoint"));
  const std::size_t scheme = endpoint.find("://");
  options.scheme = endpoint.substr(0, scheme);
  if (scheme == std::string::npos || (options.scheme != "https" && options.scheme != "http")) {
    refuse(section, "endpoint", "https:// is missing (http:// encrypts nothing)");
  }
  options.host = endpoint.substr(scheme + 3);
  if (options.host.ends_with('/')) {
    options.host.pop_back();
  }
  if (options.host.empty() || options.host.find_first_of("/?#@ ") != std::string::npos) {
    refuse(section, "endpoint", "only HOST[:PORT] may follow " + options.scheme + "://");
  }
  const std::string own_port = options.scheme == "https" ? ":443" : ":80";
  if (options.host.ends_with(own_port)) {
    options.host.resize(options.host.size() - own_port.size());
  }
}

std::string secret(const NamedSection& section, const std::string& key) {
  return resolve_secret(parse_secret(section.get(key)),
                        fmt::format("[s3 {}] {}", section.name, key));
}

// The loader has checked what follows against the table of keys.
std::chrono::milliseconds duration(const NamedSection& section, const std::string& key,
                                   std::chrono::milliseconds fallback) {
  return parse_duration(section.get(key)).value_or(fallback);
}

bool truth(const NamedSection& section, const std::string& key, bool fallback) {
  return parse_bool(section.get(key)).value_or(fallback);
}

}  // namespace

S3Options read_s3_options(const Endpoint& endpoint, const Config& config) {
  const auto found = config.s3.find(endpoint.store);
  if (found == config.s3.end()) {
    throw Error(ErrorKind::usage, "there is no section [s3 " + endpoint.store + "]", endpoint.uri,
                "describe the store there; see hamal.conf(5)");
  }
  const NamedSection& section = found->second;
  S3Options options;
  options.uri = endpoint.uri;
  options.prefix = endpoint.prefix;
  set_address(options, section);
  options.region = section.get("region", "us-east-1");
  options.bucket = section.require("bucket");
  if (options.bucket.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                       "0123456789.-_") != std::string::npos) {
    refuse(section, "bucket", "only letters, digits and . - _ are in a bucket's name");
  }
  options.access_key = section.require("access_key");
  options.secret_key = secret(section, "secret_key");
  if (!section.get("session_token").empty()) {
    options.session_token = secret(section, "session_token");
  }
  options.ca_file = section.get("ca_file");
  options.mappings = config.host_mappings;
  options.virtual_style = section.get("addressing_style") == "virtual";
  options.parallel_requests = static_cast<unsigned>(
      parse_count(section.get("parallel_requests"), {1, 1024}).value_or(options.parallel_requests));
  options.retry_max = duration(section, "retry_max", options.retry_max);
  options.request_timeout = duration(section, "request_timeout", options.request_timeout);
  options.list_lag = duration(section, "list_lag", options.list_lag);
  options.part_size = parse_size(section.get("part_size")).value_or(options.part_size);
  options.remove_versions = truth(section, "remove_versions", options.remove_versions);
  options.verify_etag = truth(section, "verify_etag", options.verify_etag);
  options.object_lock_mode =
      section.get("object_lock_mode") == "compliance" ? "COMPLIANCE" : "GOVERNANCE";
  return options;
}

}  // namespace hamal
