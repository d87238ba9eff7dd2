#include "hamal/mass/host_facts.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <thread>

namespace hamal::mass {
namespace {

constexpr std::uint64_t k_kibibyte = 1024;

struct FreeAddresses {
  void operator()(ifaddrs* addresses) const noexcept { ::freeifaddrs(addresses); }
};

std::string text_of(const sockaddr& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  // NOLINTBEGIN(cppcoreguidelines-pro-type-reinterpret-cast): what the family says it is
  if (address.sa_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    ::inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
  } else if (address.sa_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    if (!IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr)) {
      ::inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
    }
  }
  // NOLINTEND(cppcoreguidelines-pro-type-reinterpret-cast)
  return text.data();
}

}  // namespace

Load host_load() {
  Load load;
  std::array<double, 3> averages{};
  if (::getloadavg(averages.data(), 3) == 3) {
    load.one = averages[0];
    load.five = averages[1];
    load.fifteen = averages[2];
  }
  load.processors = std::max(1U, std::thread::hardware_concurrency());
  std::ifstream memory("/proc/meminfo");
  std::string name;
  std::uint64_t kibibytes = 0;
  while (memory >> name >> kibibytes) {
    if (name == "MemTotal:") {
      load.memory_bytes = kibibytes * k_kibibyte;
    } else if (name == "MemAvailable:") {
      load.memory_available_bytes = kibibytes * k_kibibyte;
      break;
    }
    std::getline(memory, name);
  }
  return load;
}

std::optional<DiskSpace> disk_space(const std::string& path) {
  struct statvfs status {};
  if (::statvfs(path.c_str(), &status) != 0) {
    return std::nullopt;
  }
  return DiskSpace{.path = path,
                   .size_bytes = static_cast<std::uint64_t>(status.f_blocks) * status.f_frsize,
                   .free_bytes = static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize};
}

std::vector<std::string> host_addresses() {
  std::vector<std::string> found;
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) {
    return found;
  }
  const std::unique_ptr<ifaddrs, FreeAddresses> all(first);
  for (const ifaddrs* one = first; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || (one->ifa_flags & IFF_UP) == 0 ||
        (one->ifa_flags & IFF_LOOPBACK) != 0) {
      continue;
    }
    if (std::string text = text_of(*one->ifa_addr); !text.empty()) {
      found.push_back(std::move(text));
    }
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

}  // namespace hamal::mass
