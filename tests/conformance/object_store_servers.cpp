#include "object_store_servers.hpp"

#include <memory>

#include "hamal/block/endpoint.hpp"
#include "hamal/config/config.hpp"
#include "hamal/store/s3_client.hpp"

namespace hamal::testing {
namespace {

std::string lab(const std::string& name) {
  return std::string(HAMAL_SOURCE_DIR) + "/tests/lab/" + name;
}

}  // namespace

FaultyS3::FaultyS3() : m_server({lab("s3_faults.py")}), m_http({}, m_cancel) {}

std::string FaultyS3::section(const std::string& name, const std::string& more) const {
  return "[s3 " + name + "]\nendpoint = " + endpoint() +
         "\nbucket = bucket\naccess_key = FAULTYKEY\nsecret_key = faulty/secret+key\n" + more +
         "\n";
}

std::string FaultyS3::tell(const std::string& method, const std::string& path,
                           const std::string& body) {
  HttpRequest request;
  request.method = method;
  request.url = endpoint() + path;
  request.body = std::as_bytes(std::span(body));
  return m_http.perform(request).body;
}

Radosgw::Radosgw() : m_server({lab("ceph.sh"), "run", m_scratch.path().string()}) {}

Radosgw& Radosgw::get() {
  static Radosgw radosgw;
  return radosgw;
}

std::string Radosgw::section(const std::string& name, const std::string& bucket, Tls tls,
                             const std::string& more) const {
  const std::string address = tls == Tls::yes ? "endpoint = " + m_server.value("https_endpoint") +
                                                    "\nca_file = " + m_server.value("ca_file")
                                              : "endpoint = " + m_server.value("http_endpoint");
  return "[s3 " + name + "]\n" + address + "\nbucket = " + bucket +
         "\naccess_key = " + m_server.value("access_key") +
         "\nsecret_key = " + m_server.value("secret_key") + "\n" + more + "\n";
}

void Radosgw::make_bucket(const std::string& bucket, const std::vector<HttpHeader>& headers) const {
  const Config config = parse_config(section("lab", bucket, Tls::no), "lab");
  const CancelToken cancel;
  S3Client client(read_s3_options(parse_endpoint("s3://lab"), config), cancel);
  S3Request request;
  request.method = "PUT";
  request.headers = headers;
  client.call(request);
}

}  // namespace hamal::testing
