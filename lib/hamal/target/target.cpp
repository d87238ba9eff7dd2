// Dispatches by kind; the lock that two runs of one target share.
#include "hamal/target/target.hpp"

#include <sys/file.h>
#include <sys/stat.h>

#include <cctype>
#include <cerrno>
#include <filesystem>

#include "hamal/block/rbd_image.hpp"
#include "hamal/target/kinds.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/units.hpp"

namespace hamal {
namespace {

/// What is really behind the path: file:/dev/sdb is a device, /dev/shm/x a file.
bool is_device(const Endpoint& endpoint) {
  struct stat status {};
  if (::stat(endpoint.path.c_str(), &status) == 0) {
    return S_ISBLK(status.st_mode);
  }
  return endpoint.kind == EndpointKind::device;
}

[[noreturn]] void refuse_platform(const Endpoint& endpoint) {
  throw Error(ErrorKind::usage, "a platform's disk cannot be a target", endpoint.uri,
              "a target is file:PATH, /dev/NAME, rbd:POOL/IMAGE or an nbd:// or nbd+unix:// URI");
}

/// Safe as one component of a path, and percent-encoded as endpoints are.
std::string safe_part(const std::string& value) {
  std::string safe = value;
  for (char& c : safe) {
    if (c == '/' || std::iscntrl(static_cast<unsigned char>(c)) != 0) {
      c = '_';
    }
  }
  if (safe.empty() || safe == "." || safe == "..") {
    safe = "_";
  }
  return percent_encode(safe, "+,:=@");
}

}  // namespace

std::string canonical_target(const Endpoint& endpoint) {
  switch (endpoint.kind) {
    case EndpointKind::file:
    case EndpointKind::device:
      return is_device(endpoint) ? canonical_device(endpoint.path) : canonical_file(endpoint.path);
    case EndpointKind::nbd:
      return canonical_nbd(endpoint.uri);
    case EndpointKind::rbd:
      return canonical_rbd(endpoint);
    case EndpointKind::directory:
    case EndpointKind::s3:
      throw repository_refused(endpoint);
    case EndpointKind::platform:
      break;
  }
  refuse_platform(endpoint);
}

bool target_exists(const Endpoint& endpoint) {
  std::error_code error;
  return endpoint.kind == EndpointKind::rbd
             ? rbd_exists(endpoint)
             : endpoint.kind == EndpointKind::nbd || std::filesystem::exists(endpoint.path, error);
}

std::unique_ptr<Target> open_target(const Endpoint& endpoint, std::uint64_t size,
                                    const TargetOptions& options) {
  switch (endpoint.kind) {
    case EndpointKind::file:
    case EndpointKind::device:
      return is_device(endpoint) ? open_device_target(endpoint, size, options)
                                 : open_file_target(endpoint, size, options);
    case EndpointKind::nbd:
      return open_nbd_target(endpoint, size, options);
    case EndpointKind::rbd:
      return open_rbd_target(endpoint, size, options);
    case EndpointKind::directory:
    case EndpointKind::s3:
      throw repository_refused(endpoint);
    case EndpointKind::platform:
      break;
  }
  refuse_platform(endpoint);
}

std::string expand_target_pattern(const std::string& pattern, const std::string& vm,
                                  const std::string& vm_id, const std::string& disk,
                                  std::size_t index) {
  std::string expanded;
  for (std::size_t at = 0; at < pattern.size();) {
    const std::size_t open = pattern.find('{', at);
    expanded += pattern.substr(at, open - at);
    if (open == std::string::npos) {
      break;
    }
    const std::size_t close = pattern.find('}', open);
    const std::string word =
        close == std::string::npos ? "" : pattern.substr(open + 1, close - open - 1);
    if (word == "vm") {
      expanded += safe_part(vm);
    } else if (word == "vm_id") {
      expanded += safe_part(vm_id);
    } else if (word == "disk") {
      expanded += safe_part(disk);
    } else if (word == "index") {
      expanded += std::to_string(index);
    } else {
      throw Error(ErrorKind::usage,
                  close == std::string::npos ? "\"{\" without \"}\"" : "unknown {" + word + "}",
                  pattern, "a target pattern knows {vm}, {vm_id}, {disk} and {index}");
    }
    at = close + 1;
  }
  return expanded;
}

void lock_target(int fd, const std::string& uri) {
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) {
    return;
  }
  if (errno == EWOULDBLOCK) {
    throw Error(ErrorKind::busy, "another run writes to this target", uri,
                "wait for it, or see hamal-sync --wait");
  }
  throw system_error("cannot lock", uri, errno);
}

}  // namespace hamal
