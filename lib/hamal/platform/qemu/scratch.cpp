// Creates and removes scratch files.
#include "hamal/platform/qemu/scratch.hpp"

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "hamal/platform/qemu/names.hpp"
#include "hamal/platform/qemu/nodes.hpp"
#include "hamal/util/units.hpp"

namespace hamal::qemu {
namespace {

constexpr std::string_view k_suffix = ".scratch";
constexpr std::size_t k_max_part = 64;

std::string safe_part(const std::string& name) {
  std::string part = name.substr(0, k_max_part);
  std::replace_if(
      part.begin(), part.end(),
      [](char c) {
        return !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 c == '.' || c == '-');
      },
      '_');
  return part;
}

std::string suffix_of(const std::string& platform) {
  return "@" + safe_part(platform) + std::string(k_suffix);
}

void remove_files(const std::string& directory, const std::string& prefix,
                  const std::string& suffix, Logger& log) noexcept {
  namespace fs = std::filesystem;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with(prefix) && name.ends_with(suffix)) {
      std::error_code failure;
      if (!fs::remove(entry->path(), failure) && failure) {
        log.warning("{}: the scratch file cannot be removed: {}", entry->path().string(),
                    failure.message());
      }
    }
  }
}

void create_file(QmpClient& qmp, const std::string& job, const std::string& path,
                 std::uint64_t size) {
  try {
    create_image(qmp, job, {{"driver", "file"}, {"filename", path}, {"size", size}});
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::failed || error.transient()) {
      throw;
    }
    throw Error(ErrorKind::failed, error.problem(), path,
                "scratch_dir is a directory as QEMU sees it, and QEMU's user must be able to write "
                "there");
  }
}

}  // namespace

void check_scratch_space(const ScratchSettings& settings, Logger& log) {
  struct statvfs state {};
  if (::statvfs(settings.directory.c_str(), &state) != 0) {
    log.info("the scratch directory {} cannot be seen from here: its free space is not checked",
             settings.directory);
    return;
  }
  const std::uint64_t free = std::uint64_t{state.f_bavail} * state.f_frsize;
  if (free < settings.min_free) {
    throw Error(
        ErrorKind::failed,
        fmt::format("{} free, less than scratch_min_free of {}", format_size(free),
                    format_size(settings.min_free)),
        settings.directory,
        "free space there, or choose another scratch_dir: when it fills, the snapshot breaks",
        Transience::transient);
  }
}

std::string scratch_file_name(const std::string& snapshot_id, std::size_t index,
                              const std::string& disk, const std::string& platform) {
  return fmt::format("{}-{}-{}{}", snapshot_id, index, safe_part(disk), suffix_of(platform));
}

void add_scratch(QmpClient& qmp, const ScratchSettings& settings, const std::string& snapshot_id,
                 std::size_t index, const QemuDisk& disk) {
  const std::string path =
      settings.directory + "/" + scratch_file_name(snapshot_id, index, disk.id, settings.platform);
  const std::string job = fmt::format("{}-j{}", snapshot_id, index);
  const std::string node = node_name(snapshot_id, NodeKind::scratch, index);
  bool too_large = false;
  try {
    create_file(qmp, job, path, disk.size);
  } catch (const Error& error) {
    too_large = error.problem().find("File too large") != std::string::npos;
    if (!too_large) {
      throw;
    }
  }
  if (!too_large) {
    qmp.execute(
        "blockdev-add",
        {{"driver", "file"}, {"node-name", node}, {"filename", path}, {"discard", "unmap"}});
    return;
  }
  const std::string file = node_name(snapshot_id, NodeKind::scratch_file, index);
  create_file(qmp, job, path, 0);
  qmp.execute("blockdev-add",
              {{"driver", "file"}, {"node-name", file}, {"filename", path}, {"discard", "unmap"}});
  create_image(qmp, job, {{"driver", "qcow2"}, {"file", file}, {"size", disk.size}});
  qmp.execute("blockdev-add",
              {{"driver", "qcow2"}, {"node-name", node}, {"file", file}, {"discard", "unmap"}});
}

void remove_scratch_files(const std::string& directory, const std::string& snapshot_id,
                          Logger& log) noexcept {
  remove_files(directory, snapshot_id + "-", std::string(k_suffix), log);
}

void remove_leftover_scratch(const ScratchSettings& settings, const std::string& mark,
                             Logger& log) noexcept {
  remove_files(settings.directory, "hamal-" + mark + "-", suffix_of(settings.platform), log);
}

}  // namespace hamal::qemu
