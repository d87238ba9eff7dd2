// S3 services for the suites: a real radosgw, and one in memory that misbehaves as it is told.
#pragma once
#include <string>
#include <vector>

#include "hamal/net/http_client.hpp"
#include "held_server.hpp"
#include "servers.hpp"

namespace hamal::testing {

/// tests/lab/s3_faults.py
class FaultyS3 {
 public:
  FaultyS3();
  std::string endpoint() const { return m_server.value("endpoint"); }
  /// The [s3 NAME] section of it, with what is added.
  std::string section(const std::string& name, const std::string& more = {}) const;
  /// See the script. JSON.
  void set_faults(const std::string& faults) { tell("PUT", "/__faults", faults); }
  void set_clock(int seconds_ahead) { tell("PUT", "/__clock", std::to_string(seconds_ahead)); }
  std::string stats() { return tell("GET", "/__stats", ""); }

 private:
  std::string tell(const std::string& method, const std::string& path, const std::string& body);

  HeldServer m_server;
  CancelToken m_cancel;
  HttpClient m_http;
};

/// tests/lab/ceph.sh, started by the first that asks and stopped at the end of the program.
class Radosgw {
 public:
  static Radosgw& get();

  enum class Tls { no, yes };
  /// The [s3 NAME] section of a bucket.
  std::string section(const std::string& name, const std::string& bucket, Tls tls,
                      const std::string& more = {}) const;
  const HeldServer& server() const { return m_server; }
  /// Creates it; with object lock (and so with versions) or without.
  void make_bucket(const std::string& bucket, const std::vector<HttpHeader>& headers = {}) const;

 private:
  Radosgw();
  ScratchDirectory m_scratch;
  HeldServer m_server;
};

}  // namespace hamal::testing
