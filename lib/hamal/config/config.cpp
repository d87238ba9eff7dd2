#include "hamal/config/config.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "hamal/config/loader.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"

namespace hamal {
namespace {

constexpr std::uint64_t k_largest_file = 1U << 20;

Error unreadable(const std::filesystem::path& path, const Error& error) {
  return {ErrorKind::usage, "configuration: " + error.problem(), path.string(), error.hint()};
}

void add_file(ConfigLoader& loader, const std::filesystem::path& path) {
  try {
    const UniqueFd fd = open_file(path, O_RDONLY);
    struct stat status {};
    std::optional<unsigned> mode;
    if (::fstat(fd.get(), &status) == 0 && S_ISREG(status.st_mode)) {
      mode = status.st_mode & 07777U;
    }
    loader.add(read_all(fd.get(), path.string(), k_largest_file), path.string(), mode);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::usage) {
      throw;
    }
    throw unreadable(path, error);
  }
}

// Nothing when there is no such directory; hidden files and backups of editors do not end in .conf
// or begin with a dot.
std::vector<std::filesystem::path> parts_of(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> parts;
  std::error_code error;
  std::filesystem::directory_iterator entries(directory, error);
  if (error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory) {
    return parts;
  }
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    const std::string name = entries->path().filename().string();
    if (name.ends_with(".conf") && !name.starts_with('.')) {
      parts.push_back(entries->path());
    }
  }
  if (error) {
    throw Error(ErrorKind::usage, "configuration: cannot list: " + error.message(),
                directory.string());
  }
  std::sort(parts.begin(), parts.end());
  return parts;
}

bool is_absent(const std::filesystem::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

}  // namespace

std::string NamedSection::get(const std::string& key, const std::string& fallback) const {
  const auto found = values.find(key);
  return found == values.end() || found->second.empty() ? fallback : found->second;
}

std::string NamedSection::require(const std::string& key) const {
  std::string value = get(key);
  if (value.empty()) {
    throw Error(
        ErrorKind::usage,
        fmt::format("[… {}] {}: {}, but needed here", name, key, has(key) ? "empty" : "missing"),
        fmt::format("{}:{}", origin.file, origin.line));
  }
  return value;
}

const PlatformTypeSection& Config::platform_type(const std::string& type) const {
  static const PlatformTypeSection fresh;
  const auto found = platform_types.find(type);
  return found == platform_types.end() ? fresh : found->second;
}

std::string Config::state_connection() const {
  if (!database_connection.empty()) {
    return database_connection;
  }
  return "sqlite://" + (std::filesystem::path(defaults.hamal_lib_dir) / "hamal.db").string();
}

Config load_config(const std::filesystem::path& path, bool must_exist) {
  ConfigLoader loader;
  if (must_exist || !is_absent(path)) {
    add_file(loader, path);
  }
  const std::filesystem::path directory = path.parent_path();
  for (const std::filesystem::path& part :
       parts_of((directory.empty() ? std::filesystem::path(".") : directory) / "conf.d")) {
    add_file(loader, part);
  }
  return loader.finish();
}

Config parse_config(const std::string& text, const std::string& name) {
  ConfigLoader loader;
  loader.add(text, name, std::nullopt);
  return loader.finish();
}

}  // namespace hamal
