#include "hamal/block/rbd_lock.hpp"

#include <rbd/librbd.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <sstream>
#include <vector>

#include "hamal/block/rbd_image.hpp"
#include "hamal/util/file.hpp"

namespace hamal {
namespace {

constexpr const char* k_writer_key = "hamal.writer";

struct Watcher {
  std::string address;
  std::uint64_t client = 0;
};

std::vector<Watcher> other_watchers(RbdImage& image) {
  std::vector<rbd_image_watcher_t> list(16);
  std::size_t count = list.size();
  int status = 0;
  while ((status = rbd_watchers_list(image.handle(), list.data(), &count)) == -ERANGE) {
    list.resize(count + 16);
    count = list.size();
  }
  if (status < 0) {
    throw ceph_error("cannot see who has the image open", image.uri(), status);
  }
  const std::uint64_t own = image.cluster().client_id();
  std::vector<Watcher> others;
  for (std::size_t i = 0; i < count; ++i) {
    const auto client = static_cast<std::uint64_t>(list[i].id);
    if (client != own) {
      others.push_back({list[i].addr, client});
    }
  }
  rbd_watchers_list_cleanup(list.data(), count);
  return others;
}

/// "TAG CLIENT", or empty.
std::string recorded_writer(RbdImage& image) {
  std::array<char, 512> value{};
  std::size_t length = value.size();
  const int status = rbd_metadata_get(image.handle(), k_writer_key, value.data(), &length);
  return status < 0 ? "" : std::string(value.data());
}

void require_nobody(RbdImage& image, const std::string& writer) {
  const std::size_t space = writer.find(' ');
  const std::string tag = writer.substr(0, space);
  const std::string client = space == std::string::npos ? "" : writer.substr(space + 1);
  for (const Watcher& other : other_watchers(image)) {
    const bool ours = std::to_string(other.client) == client;
    if (ours && writer_is_dead(tag)) {
      continue;
    }
    const std::string who = "client." + std::to_string(other.client) + " at " + other.address;
    if (ours) {
      throw Error(
          ErrorKind::busy, "another run writes to this image: " + who, image.uri(),
          "wait for it; of a run that was killed on another host the trace ends within half "
          "a minute");
    }
    throw Error(ErrorKind::wrong_target, "the image is in use: " + who + " has it open",
                image.uri(), "a running machine may use it; shut it down or choose another target");
  }
}

struct Locker {
  std::string client;  ///< "client.ID"
  std::string cookie;
  std::string address;
};

/// The strings that librbd put one after the other.
std::vector<std::string> split(const std::vector<char>& text, std::size_t count) {
  std::vector<std::string> words;
  std::size_t at = 0;
  while (words.size() < count && at < text.size()) {
    words.emplace_back(text.data() + at);
    at += words.back().size() + 1;
  }
  words.resize(count);
  return words;
}

std::vector<Locker> lockers(RbdImage& image) {
  std::vector<char> tag(256);
  std::vector<char> clients(1024);
  std::vector<char> cookies(1024);
  std::vector<char> addresses(1024);
  int exclusive = 0;
  ssize_t count = -ERANGE;
  while (count == -ERANGE) {
    std::size_t sizes[] = {tag.size(), clients.size(), cookies.size(), addresses.size()};
    count = rbd_list_lockers(image.handle(), &exclusive, tag.data(), &sizes[0], clients.data(),
                             &sizes[1], cookies.data(), &sizes[2], addresses.data(), &sizes[3]);
    if (count == -ERANGE) {  // it said how much it needs
      tag.resize(sizes[0] + 1);
      clients.resize(sizes[1] + 1);
      cookies.resize(sizes[2] + 1);
      addresses.resize(sizes[3] + 1);
    }
  }
  if (count < 0) {
    throw ceph_error("cannot see who has locked the image", image.uri(), static_cast<int>(count));
  }
  const auto number = static_cast<std::size_t>(count);
  const auto client = split(clients, number);
  const auto cookie = split(cookies, number);
  const auto address = split(addresses, number);
  std::vector<Locker> result;
  for (std::size_t i = 0; i < number; ++i) {
    result.push_back({client[i], cookie[i], address[i]});
  }
  return result;
}

// Whoever holds one has said that it writes, whether or not it lives: only a run of ours that is
// dead (require_nobody() has seen that) is known to write no more.
void require_no_foreign_lock(RbdImage& image, const std::string& writer) {
  const std::size_t space = writer.find(' ');
  const std::string recorded = space == std::string::npos ? "" : writer.substr(space + 1);
  const std::string own = std::to_string(image.cluster().client_id());
  for (const Locker& one : lockers(image)) {
    if (one.client == "client." + own) {
      throw Error(ErrorKind::busy, "this run has the image open already", image.uri());
    }
    if (one.client != "client." + recorded) {
      throw Error(ErrorKind::wrong_target,
                  "the image is locked by " + one.client + " at " + one.address + " (lock \"" +
                      one.cookie + "\")",
                  image.uri(),
                  "whoever that is may write it; once it is known to be dead, remove its lock: rbd "
                  "lock ls, rbd lock rm");
    }
  }
}

void break_locks(RbdImage& image) {
  std::array<char*, 8> owners{};
  std::size_t count = owners.size();
  rbd_lock_mode_t mode = RBD_LOCK_MODE_EXCLUSIVE;
  const int status = rbd_lock_get_owners(image.handle(), &mode, owners.data(), &count);
  if (status == -ENOENT) {
    return;
  }
  if (status < 0) {
    throw ceph_error("cannot see who has locked the image", image.uri(), status);
  }
  int broken = 0;
  for (std::size_t i = 0; i < count && broken >= 0; ++i) {
    broken = rbd_lock_break(image.handle(), mode, owners.at(i));
  }
  rbd_lock_get_owners_cleanup(owners.data(), count);
  if (broken == -EINVAL) {  // librbd will not blocklist ourselves
    throw Error(ErrorKind::busy, "this run has the image open already", image.uri());
  }
  if (broken < 0 && broken != -ENOENT) {
    throw ceph_error("cannot break the lock of a run that is dead", image.uri(), broken);
  }
}

std::string boot() {
  std::error_code error;
  std::string id = read_file("/proc/sys/kernel/random/boot_id");
  id = id.substr(0, id.find('\n'));
  return id + "/" + std::filesystem::read_symlink("/proc/self/ns/pid", error).string();
}

/// The 22nd field of /proc/PID/stat, empty when there is no such process.
std::string start_of(const std::string& pid) {
  std::string stat;
  try {
    stat = read_file("/proc/" + pid + "/stat");
  } catch (const Error&) {
    return {};
  }
  // The second field is a name that may hold anything.
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) {
    return {};
  }
  std::istringstream fields(stat.substr(name_end + 1));
  constexpr int k_from_state_to_start = 20;
  std::string field;
  for (int i = 0; i < k_from_state_to_start && fields >> field; ++i) {
  }
  return field;
}

}  // namespace

std::string writer_tag() {
  const std::string pid = std::to_string(::getpid());
  return boot() + "/" + pid + "/" + start_of(pid);
}

bool writer_is_dead(const std::string& tag) {
  const std::string here = boot() + "/";
  if (!tag.starts_with(here)) {
    return false;
  }
  const std::string rest = tag.substr(here.size());
  const std::size_t slash = rest.find('/');
  const std::string pid = rest.substr(0, slash);
  if (slash == std::string::npos || pid.empty() ||
      pid.find_first_not_of("0123456789") != std::string::npos) {
    return false;
  }
  return start_of(pid) != rest.substr(slash + 1);
}

void RbdLock::take(RbdImage& image) {
  const std::string before = recorded_writer(image);
  require_nobody(image, before);
  require_no_foreign_lock(image, before);
  std::uint64_t features = 0;
  if (const int status = rbd_get_features(image.handle(), &features); status < 0) {
    throw ceph_error("cannot ask for the image's features", image.uri(), status);
  }
  if ((features & RBD_FEATURE_EXCLUSIVE_LOCK) != 0) {
    break_locks(image);  // a dead run of ours has one
    if (const int status = rbd_lock_acquire(image.handle(), RBD_LOCK_MODE_EXCLUSIVE); status < 0) {
      throw Error(ErrorKind::busy, "cannot lock the image: " + ceph_error("", "", status).problem(),
                  image.uri(), "another client opened it at the same moment; see rbd status");
    }
    image.m_locked = true;
  }
  const std::string tag = writer_tag() + " " + std::to_string(image.cluster().client_id());
  if (const int status = rbd_metadata_set(image.handle(), k_writer_key, tag.c_str()); status < 0) {
    throw ceph_error("cannot note in the image who writes it", image.uri(), status);
  }
  // Two that came at once have both seen nobody, unless they look again.
  require_nobody(image, before);
}

void RbdLock::release(RbdImage& image) noexcept {
  rbd_metadata_remove(image.handle(), k_writer_key);
  if (image.m_locked) {
    rbd_lock_release(image.handle());
  }
}

}  // namespace hamal
