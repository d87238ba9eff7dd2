#include "hamal/period/job_record.hpp"

namespace hamal::period {
namespace {

// No platform's ids begin like that: paths of images have one slash at a time.
constexpr const char* k_of_proxy = "//proxy/";

}  // namespace

std::string job_record_id(const std::string& proxy) {
  return proxy.empty() ? std::string() : k_of_proxy + proxy;
}

bool is_job_record(const std::string& vm_id) {
  return vm_id.empty() || vm_id.starts_with(k_of_proxy);
}

}  // namespace hamal::period
