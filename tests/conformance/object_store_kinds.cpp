#include "object_store_kinds.hpp"

#include <atomic>

#include "hamal/block/endpoint.hpp"
#include "hamal/config/config.hpp"
#include "hamal/store/open_store.hpp"
#include "object_store_servers.hpp"

namespace hamal::testing {
namespace {

class DirectoryPlace final : public StorePlace {
 public:
  std::unique_ptr<ObjectStore> open(const CancelToken& cancel) override {
    return open_object_store(parse_endpoint("dir:" + m_scratch.file("store")), Config{}, cancel);
  }

 private:
  ScratchDirectory m_scratch;
};

/// A prefix, or nothing but the bucket.
class BucketPlace final : public StorePlace {
 public:
  BucketPlace(const std::string& section, const std::string& prefix)
      : m_config(parse_config(section, "conformance")), m_uri("s3://lab" + prefix) {}
  std::unique_ptr<ObjectStore> open(const CancelToken& cancel) override {
    return open_object_store(parse_endpoint(m_uri), m_config, cancel);
  }

 private:
  Config m_config;
  std::string m_uri;
};

std::string next_number() {
  static std::atomic<int> number{0};
  return std::to_string(++number);
}

/// A service of its own for each test, and no prefix.
class FaultyPlace final : public StorePlace {
 public:
  std::unique_ptr<ObjectStore> open(const CancelToken& cancel) override {
    return m_bucket.open(cancel);
  }

 private:
  FaultyS3 m_service;
  BucketPlace m_bucket{
      m_service.section("lab", "session_token = temporary//token==\npart_size = 5M"), ""};
};

std::unique_ptr<StorePlace> radosgw(Radosgw::Tls tls, const std::string& more) {
  const Radosgw& service = Radosgw::get();
  static const bool made = (service.make_bucket("conformance"), true);
  static_cast<void>(made);
  return std::make_unique<BucketPlace>(service.section("lab", "conformance", tls, more),
                                       "/pre%20fix+" + next_number() + "/x");
}

}  // namespace

void PrintTo(const StoreKind& kind, std::ostream* out) {
  *out << kind.name;
}

std::vector<StoreKind> store_kinds() {
  using std::chrono::milliseconds;
  return {
      {"directory",
       []() -> std::unique_ptr<StorePlace> { return std::make_unique<DirectoryPlace>(); },
       milliseconds(50)},
      {"faulty", []() -> std::unique_ptr<StorePlace> { return std::make_unique<FaultyPlace>(); },
       milliseconds(1000)},
      {"radosgw_http", [] { return radosgw(Radosgw::Tls::no, "addressing_style = virtual"); },
       milliseconds(1000)},
      {"radosgw_https", [] { return radosgw(Radosgw::Tls::yes, "part_size = 6M"); },
       milliseconds(1000)},
  };
}

}  // namespace hamal::testing
