#include "hamal/platform/openstack/images.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <exception>
#include <set>

#include "hamal/util/error.hpp"

namespace hamal::openstack {
namespace {

/// As Nova names them; more than one ephemeral disk is rare.
constexpr std::array k_nova_disk_ids{"disk", "disk.eph0"};

/// Ceph writes it with dashes and in lower case, as libvirt does.
bool is_fsid(const std::string& secret, const std::string& fsid) {
  return !secret.empty() && secret == fsid;
}

}  // namespace

std::string nova_image(const std::string& server, const std::string& disk) {
  return server + "_" + disk;
}

std::vector<std::string> Images::clusters(const std::string& wanted, const std::string& secret) {
  if (!wanted.empty()) {
    return {wanted};
  }
  if (!m_settings.ceph.empty()) {
    return {m_settings.ceph};
  }
  std::vector<std::string> all;
  for (const auto& [name, section] : m_config.ceph) {
    all.push_back(name);
  }
  if (all.size() > 1 && !secret.empty()) {
    for (const std::string& name : all) {
      try {
        if (is_fsid(secret, m_clusters.cluster(name, m_settings.login.object)->fsid())) {
          return {name};
        }
      } catch (const Error& error) {
        if (!error.transient()) {
          throw;
        }
        // Away: if the image is in none of the others, opening it there says so.
      }
    }
  }
  return all.empty() ? std::vector<std::string>{""} : all;
}

void Images::add(std::vector<Candidate>& all, const PoolMapping& mapping, const std::string& space,
                 const std::string& image, const std::string& secret) {
  for (const std::string& cluster : clusters(mapping.cluster, secret)) {
    all.push_back(
        {cluster,
         RbdName{.cluster = cluster, .pool = mapping.pool, .space = space, .image = image}});
  }
}

std::vector<Images::Candidate> Images::candidates(const Machine& machine, const Disk& disk) {
  std::vector<Candidate> all;
  if (disk.kind == DiskKind::nova) {
    const auto mapping = m_settings.pools.find(k_nova_disks);
    if (mapping != m_settings.pools.end()) {
      add(all, mapping->second, {}, nova_image(machine.server.id, disk.id), {});
    }
    return all;
  }
  if (disk.connection && disk.connection->driver == "rbd") {
    const VolumeConnection& told = *disk.connection;
    add(all, {.cluster = {}, .pool = told.pool}, told.space, told.image, told.secret);
  }
  const std::string type = disk.volume ? disk.volume->type : "";
  const std::string name_id = disk.volume ? disk.volume->name_id : "";
  for (const std::string& key : {type, std::string(k_default_volume_type)}) {
    const auto mapping = m_settings.pools.find(key);
    if (mapping == m_settings.pools.end()) {
      continue;
    }
    if (!name_id.empty()) {
      add(all, mapping->second, {}, "volume-" + name_id, {});
    }
    add(all, mapping->second, {}, "volume-" + disk.id, {});
    break;
  }
  return all;
}

Endpoint Images::find(const Machine& machine, const Disk& disk) {
  const std::string object =
      fmt::format("{}:{}/{}", m_settings.platform, machine.server.name, disk.id);
  std::vector<std::string> tried;
  std::vector<Endpoint> found;
  std::exception_ptr away;
  for (const Candidate& candidate : candidates(machine, disk)) {
    const std::string uri = rbd_uri(candidate.name);
    if (std::find(tried.begin(), tried.end(), uri) != tried.end()) {
      continue;
    }
    // What comes later is a guess at the same image by other means.
    if (!found.empty() && (found.front().rbd.pool != candidate.name.pool ||
                           found.front().rbd.image != candidate.name.image)) {
      break;
    }
    tried.push_back(uri);
    try {
      Endpoint endpoint = m_clusters.attach(parse_endpoint(uri));
      if (RbdImage::find(endpoint)) {
        found.push_back(std::move(endpoint));
      }
    } catch (const Error& error) {
      // Another cluster, or another pool, may have it.
      if (error.kind() != ErrorKind::failed && error.kind() != ErrorKind::usage) {
        throw;
      }
      away = away ? away : std::current_exception();
    }
  }
  if (found.size() > 1) {
    throw Error(ErrorKind::usage,
                fmt::format("{} and {} both have the image", found[0].uri, found[1].uri), object,
                "set ceph, or pool.TYPE = CLUSTER/POOL, in " + m_settings.login.object);
  }
  if (found.size() == 1) {
    return std::move(found.front());
  }
  if (away) {
    std::rethrow_exception(away);
  }
  throw Error(
      ErrorKind::failed,
      tried.empty() ? std::string("neither Cinder nor hamal.conf says in which pool the disk is")
                    : fmt::format("its image is not there: {}", fmt::join(tried, ", ")),
      object, fmt::format("see pool.* in hamal.conf(5), and the volume's attachments in Cinder"));
}

std::vector<Endpoint> Images::of_nova(const std::string& server) {
  std::vector<Endpoint> found;
  const auto mapping = m_settings.pools.find(k_nova_disks);
  if (mapping == m_settings.pools.end()) {
    return found;
  }
  for (const char* const disk : k_nova_disk_ids) {
    for (const std::string& cluster : clusters(mapping->second.cluster, {})) {
      Endpoint endpoint =
          m_clusters.attach(parse_endpoint(rbd_uri(RbdName{.cluster = cluster,
                                                           .pool = mapping->second.pool,
                                                           .space = {},
                                                           .image = nova_image(server, disk)})));
      if (RbdImage::find(endpoint)) {
        found.push_back(std::move(endpoint));
      }
    }
  }
  return found;
}

}  // namespace hamal::openstack
