// Endpoint URIs: one grammar everywhere (hamal(7), ENDPOINTS).
#pragma once
#include <memory>
#include <string>
#include <string_view>

namespace hamal {

class CephCluster;

enum class EndpointKind {
  file,       ///< file:PATH
  device,     ///< /dev/…
  nbd,        ///< nbd:// nbds:// nbd+unix:// nbds+unix://, kept as libnbd takes it
  platform,   ///< NAME:VM/DISK[@SNAPSHOT], NAME a [platform NAME] section
  directory,  ///< dir:PATH, a repository in a directory
  s3,         ///< s3://NAME/PREFIX, a repository in a bucket, NAME an [s3 NAME] section
  rbd,        ///< rbd:POOL/IMAGE[@SNAP] or rbd://NAME/POOL/IMAGE[@SNAP], NAME a [ceph NAME] section
};

/// The parts of an rbd: endpoint, decoded.
struct RbdName {
  std::string cluster;  ///< NAME; empty: the configuration says which
  std::string pool;
  std::string space;  ///< a namespace of the pool; empty: none
  std::string image;
};

struct Endpoint {
  EndpointKind kind = EndpointKind::file;
  std::string uri;       ///< as given, percent-encoded
  std::string path;      ///< file, device, directory: decoded
  std::string platform;  ///< platform: NAME
  std::string vm;        ///< platform: decoded
  std::string disk;      ///< platform: decoded
  std::string snapshot;  ///< platform, rbd: decoded, may be empty
  std::string store;     ///< s3: NAME
  std::string prefix;    ///< s3: decoded, without a "/" at either end, may be empty
  RbdName rbd;
  /// rbd: who opens it; CephClusters::attach() sets it, the grammar does not know it.
  std::shared_ptr<CephCluster> ceph{};
};

/// Throws Error(usage) that says what the grammar is. Reserved words that this version cannot open
/// are named as such.
Endpoint parse_endpoint(std::string_view uri);

/// The words that can never be the NAME of a [platform NAME] section.
bool is_reserved_scheme(std::string_view word);

class Error;
/// What is thrown where a disk is wanted and the endpoint is a repository.
Error repository_refused(const Endpoint& endpoint);

std::string file_uri(std::string_view path);
/// With the cluster's name if there is one, and the snapshot's.
std::string rbd_uri(const RbdName& name, std::string_view snapshot = {});
std::string platform_uri(std::string_view name, std::string_view vm, std::string_view disk,
                         std::string_view snapshot = {});

}  // namespace hamal
