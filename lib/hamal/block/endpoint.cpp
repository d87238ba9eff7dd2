// The grammar of endpoint URIs.
#include "hamal/block/endpoint.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "hamal/util/error.hpp"
#include "hamal/util/units.hpp"

namespace hamal {
namespace {

constexpr const char* k_grammar =
    "an endpoint is file:PATH, /dev/NAME, nbd://HOST[:PORT]/EXPORT, "
    "nbd+unix:///EXPORT?socket=PATH (nbds: the same with TLS), NAME:VM/DISK[@SNAPSHOT] with NAME "
    "a [platform NAME] section, rbd:POOL/IMAGE[@SNAP] or rbd://NAME/POOL/IMAGE[@SNAP] with NAME a "
    "[ceph NAME] section, dir:PATH or s3://NAME/PREFIX with NAME an [s3 NAME] section; see "
    "hamal(7)";

/// Longer than any path or export name can be, encoded.
constexpr std::size_t k_max_uri = 32768;

constexpr std::array<std::string_view, 4> k_nbd_schemes = {"nbd", "nbds", "nbd+unix", "nbds+unix"};
constexpr std::array<std::string_view, 2> k_store_schemes = {"dir", "s3"};
constexpr std::string_view k_rbd_scheme = "rbd";
constexpr std::array<std::string_view, 11> k_reserved = {
    "file",    "device",     "vmware", "openstack_ceph", "fusion_compute", "qemu",
    "libvirt", "repository", "https",  "http",           "nbd+vsock"};

template <typename Words>
bool contains(const Words& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// Control characters never reach a terminal or a log through a message of ours.
std::string printable(std::string_view text) {
  std::string shown(text.substr(0, 200));
  for (char& c : shown) {
    if (std::iscntrl(static_cast<unsigned char>(c)) != 0) {
      c = '?';
    }
  }
  return shown.size() < text.size() ? shown + "..." : shown;
}

[[noreturn]] void refuse(std::string_view uri, const std::string& what) {
  throw Error(ErrorKind::usage, what, printable(uri), k_grammar);
}

std::string decode(std::string_view uri, std::string_view part, const char* what) {
  std::optional<std::string> decoded = percent_decode(part);
  if (!decoded || decoded->find('\0') != std::string::npos) {
    refuse(uri, std::string("the ") + what + " has a broken percent escape");
  }
  if (decoded->empty()) {
    refuse(uri, std::string("the ") + what + " is missing");
  }
  return *std::move(decoded);
}

bool is_name(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.' || c == '+';
  });
}

std::string local_path(std::string_view uri, std::string_view rest, const char* what) {
  if (rest.starts_with("///")) {
    rest.remove_prefix(2);
  } else if (rest.starts_with("//")) {
    refuse(uri, std::string("a ") + what + " on another host cannot be opened");
  }
  return decode(uri, rest, "path");
}

Endpoint parse_file(std::string_view uri, std::string_view rest) {
  Endpoint endpoint;
  endpoint.kind = EndpointKind::file;
  endpoint.uri = uri;
  endpoint.path = local_path(uri, rest, "file");
  return endpoint;
}

Endpoint parse_directory(std::string_view uri, std::string_view rest) {
  Endpoint endpoint;
  endpoint.kind = EndpointKind::directory;
  endpoint.uri = uri;
  endpoint.path = local_path(uri, rest, "directory");
  return endpoint;
}

// Wider than the keys of an object store: a prefix may be older than Hamal.
void check_prefix(std::string_view uri, std::string_view prefix) {
  if (prefix.size() > 512) {
    refuse(uri, "the prefix has more than 512 characters");
  }
  for (std::size_t at = 0; at <= prefix.size();) {
    const std::size_t slash = std::min(prefix.find('/', at), prefix.size());
    const std::string_view part = prefix.substr(at, slash - at);
    if (part.empty() || part == "." || part == "..") {
      refuse(uri, R"(a part of the prefix is empty, "." or "..")");
    }
    at = slash + 1;
  }
  if (std::any_of(prefix.begin(), prefix.end(),
                  [](unsigned char c) { return std::iscntrl(c) != 0; })) {
    refuse(uri, "control characters in the prefix");
  }
}

Endpoint parse_s3(std::string_view uri, std::string_view rest) {
  if (!rest.starts_with("//")) {
    refuse(uri, "\"//\" is missing behind s3:");
  }
  rest.remove_prefix(2);
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  Endpoint endpoint;
  endpoint.kind = EndpointKind::s3;
  endpoint.uri = uri;
  endpoint.store = rest.substr(0, slash);
  if (!is_name(endpoint.store)) {
    refuse(uri, "\"" + printable(endpoint.store) + "\" cannot be the name of an [s3 NAME] section");
  }
  rest.remove_prefix(std::min(slash + 1, rest.size()));
  if (rest.size() > 1 && rest.ends_with('/')) {
    rest.remove_suffix(1);
  }
  if (!rest.empty()) {
    endpoint.prefix = decode(uri, rest, "prefix");
    check_prefix(uri, endpoint.prefix);
  }
  return endpoint;
}

Endpoint parse_rbd(std::string_view uri, std::string_view rest) {
  Endpoint endpoint;
  endpoint.kind = EndpointKind::rbd;
  endpoint.uri = uri;
  if (rest.starts_with("//")) {
    rest.remove_prefix(2);
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    endpoint.rbd.cluster = rest.substr(0, slash);
    if (!is_name(endpoint.rbd.cluster)) {
      refuse(uri, "\"" + printable(endpoint.rbd.cluster) +
                      "\" cannot be the name of a [ceph NAME] section");
    }
    rest.remove_prefix(std::min(slash + 1, rest.size()));
  }
  if (const std::size_t at = rest.find('@'); at != std::string_view::npos) {
    endpoint.snapshot = decode(uri, rest.substr(at + 1), "snapshot");
    rest = rest.substr(0, at);
  }
  const std::size_t first = rest.find('/');
  if (first == std::string_view::npos) {
    refuse(uri, "\"/IMAGE\" is missing behind the pool");
  }
  endpoint.rbd.pool = decode(uri, rest.substr(0, first), "pool");
  rest.remove_prefix(first + 1);
  if (const std::size_t second = rest.find('/'); second != std::string_view::npos) {
    endpoint.rbd.space = decode(uri, rest.substr(0, second), "namespace");
    rest.remove_prefix(second + 1);
  }
  if (rest.find('/') != std::string_view::npos) {
    refuse(uri, "more than POOL/NAMESPACE/IMAGE (write %2F inside a name)");
  }
  endpoint.rbd.image = decode(uri, rest, "image");
  return endpoint;
}

Endpoint parse_nbd(std::string_view uri, std::string_view scheme, std::string_view rest) {
  if (!rest.starts_with("//")) {
    refuse(uri, "\"//\" is missing behind " + std::string(scheme) + ":");
  }
  if (!percent_decode(rest)) {
    refuse(uri, "a percent escape is broken");
  }
  const bool is_unix = scheme.ends_with("+unix");
  const std::size_t query = rest.find('?');
  const bool has_socket =
      query != std::string_view::npos && (rest.substr(query).starts_with("?socket=") ||
                                          rest.find("&socket=", query) != std::string_view::npos);
  if (is_unix && !has_socket) {
    refuse(uri, "the socket is missing (?socket=PATH)");
  }
  if (!is_unix && (rest.size() == 2 || rest[2] == '/' || rest[2] == '?')) {
    refuse(uri, "the host is missing");
  }
  Endpoint endpoint;
  endpoint.kind = EndpointKind::nbd;
  endpoint.uri = uri;
  return endpoint;
}

Endpoint parse_platform(std::string_view uri, std::string_view name, std::string_view rest) {
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos) {
    refuse(uri, "\"/DISK\" is missing behind the vm");
  }
  std::string_view disk = rest.substr(slash + 1);
  if (disk.find('/') != std::string_view::npos) {
    refuse(uri, "more than one \"/\" behind the platform's name (write %2F inside a name)");
  }
  Endpoint endpoint;
  endpoint.kind = EndpointKind::platform;
  endpoint.uri = uri;
  endpoint.platform = name;
  endpoint.vm = decode(uri, rest.substr(0, slash), "vm");
  if (const std::size_t at = disk.find('@'); at != std::string_view::npos) {
    endpoint.snapshot = decode(uri, disk.substr(at + 1), "snapshot");
    disk = disk.substr(0, at);
  }
  endpoint.disk = decode(uri, disk, "disk");
  return endpoint;
}

}  // namespace

bool is_reserved_scheme(std::string_view word) {
  return contains(k_reserved, word) || contains(k_nbd_schemes, word) ||
         contains(k_store_schemes, word) || word == k_rbd_scheme;
}

Endpoint parse_endpoint(std::string_view uri) {
  if (uri.empty()) {
    refuse(uri, "an empty endpoint");
  }
  if (uri.size() > k_max_uri) {
    refuse(uri, "an endpoint of more than " + std::to_string(k_max_uri) + " characters");
  }
  if (std::any_of(uri.begin(), uri.end(), [](unsigned char c) { return std::iscntrl(c) != 0; })) {
    refuse(uri, "control characters in an endpoint (write them as %XX)");
  }
  if (uri.starts_with("/dev/")) {
    Endpoint endpoint;
    endpoint.kind = EndpointKind::device;
    endpoint.uri = uri;
    endpoint.path = decode(uri, uri, "path");
    return endpoint;
  }
  const std::size_t colon = uri.find(':');
  const std::string_view scheme = uri.substr(0, colon);
  if (colon == std::string_view::npos || scheme.find('/') != std::string_view::npos) {
    refuse(uri, "not an endpoint; a file is written file:" + printable(uri));
  }
  const std::string_view rest = uri.substr(colon + 1);
  if (scheme == "file") {
    return parse_file(uri, rest);
  }
  if (contains(k_nbd_schemes, scheme)) {
    return parse_nbd(uri, scheme, rest);
  }
  if (scheme == "dir") {
    return parse_directory(uri, rest);
  }
  if (scheme == "s3") {
    return parse_s3(uri, rest);
  }
  if (scheme == k_rbd_scheme) {
    return parse_rbd(uri, rest);
  }
  if (contains(k_reserved, scheme)) {
    refuse(uri, "\"" + std::string(scheme) +
                    "\" is a reserved word, not the NAME of a [platform NAME] section");
  }
  if (!is_name(scheme)) {
    refuse(uri, "\"" + printable(scheme) + "\" cannot be the name of a platform");
  }
  return parse_platform(uri, scheme, rest);
}

Error repository_refused(const Endpoint& endpoint) {
  return {ErrorKind::usage, "a repository is no disk", endpoint.uri, k_grammar};
}

std::string file_uri(std::string_view path) {
  // A path that begins with two slashes would read as a host.
  while (path.starts_with("//")) {
    path.remove_prefix(1);
  }
  return "file:" + percent_encode(path, "/+,:=@");
}

std::string rbd_uri(const RbdName& name, std::string_view snapshot) {
  const std::string keep = "+,:=";
  std::string uri = name.cluster.empty() ? "rbd:" : "rbd://" + name.cluster + "/";
  uri += percent_encode(name.pool, keep) + "/";
  if (!name.space.empty()) {
    uri += percent_encode(name.space, keep) + "/";
  }
  uri += percent_encode(name.image, keep);
  if (!snapshot.empty()) {
    uri += "@" + percent_encode(snapshot, keep);
  }
  return uri;
}

std::string platform_uri(std::string_view name, std::string_view vm, std::string_view disk,
                         std::string_view snapshot) {
  std::string uri =
      std::string(name) + ":" + percent_encode(vm, "+,:=") + "/" + percent_encode(disk, "+,:=");
  if (!snapshot.empty()) {
    uri += "@" + percent_encode(snapshot, "+,:=");
  }
  return uri;
}

}  // namespace hamal
