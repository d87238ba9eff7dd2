#include "common/session.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdlib>

#include "hamal/state/open_state.hpp"
#include "hamal/util/boot_clock.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"
#include "hamal/util/file_lock.hpp"
#include "hamal/util/host.hpp"
#include "hamal/util/lock_scope.hpp"
#include "hamal/util/random_id.hpp"
#include "hamal/util/text.hpp"
#include "hamal/util/units.hpp"

namespace hamal {
namespace {

constexpr unsigned k_mark_digits = 8;
constexpr std::size_t k_max_lock_name = 200;
constexpr unsigned k_owner_digits = 32;
constexpr unsigned k_proxy_digits = 16;
constexpr std::chrono::seconds k_proxy_id_wait{30};

/// Inherited, so that one run has one id in all its processes; ours when it is none or not one.
std::string inherit_run_id() {
  const char* inherited = std::getenv("HAMAL_RUN_ID");
  std::string id = inherited == nullptr ? std::string() : std::string(inherited);
  const bool usable = !id.empty() && id.size() <= 64 &&
                      id.find_first_not_of("0123456789abcdefABCDEF-") == std::string::npos;
  if (!usable) {
    id = random_hex(8);
  }
  ::setenv("HAMAL_RUN_ID", id.c_str(), 1);
  return id;
}

LogRotation rotation_of(const std::string& word) {
  if (word == "daily") {
    return LogRotation::daily;
  }
  return word == "none" ? LogRotation::none : LogRotation::size;
}

/// An operator without the rights to the log still gets his run; root gets the logger's own
/// complaint.
bool log_directory_usable(const std::string& directory) {
  if (::geteuid() == 0) {
    return true;
  }
  try {
    make_private_directories(directory);
  } catch (const Error&) {
    return false;
  }
  return ::access(directory.c_str(), W_OK | X_OK) == 0;
}

std::uint64_t fnv1a(std::string_view text) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  }
  return hash;
}

}  // namespace

Session::Session(std::string tool, const CommonOptions& options)
    : m_tool(std::move(tool)),
      m_options(options),
      m_run_id(inherit_run_id()),
      m_config(
          load_config(options.config_path, options.config_presence == ConfigPresence::required)) {
  LogSettings settings;
  settings.level =
      options.log_level.value_or(m_config.defaults.debug ? LogLevel::debug : LogLevel::info);
  m_mirrored = m_config.defaults.verbose || options.verbosity == Verbosity::verbose;
  settings.mirror = m_mirrored;
  settings.rotation = rotation_of(m_config.defaults.log_rotation_type);
  settings.max_files = m_config.defaults.max_logfile_count;
  settings.max_megabytes = m_config.defaults.max_logfile_size_mb;
  settings.run_id = m_run_id;
  settings.file_name = m_tool + ".log";
  const bool usable =
      settings.level != LogLevel::off && log_directory_usable(m_config.defaults.log_dir);
  if (usable) {
    settings.directory = m_config.defaults.log_dir;
  }
  m_log_settings = settings;
  m_log = std::make_unique<Logger>(settings);
  if (!usable && settings.level != LogLevel::off) {
    // Reaches only the mirror: without --verbose a run without the rights to the log is silent
    // about it.
    m_log->warning("{} cannot be written by this user: no log file", m_config.defaults.log_dir);
  }
  take_host_mappings();
  for (const std::string& warning : m_config.warnings) {
    m_log->warning("{}", warning);
    if (!m_mirrored) {
      fmt::print(stderr, "{}: warning: {}\n", m_tool, warning);
    }
  }
}

Session::~Session() = default;

void Session::take_host_mappings() {
  const std::filesystem::path path = host_mapping_file(m_config);
  std::error_code none;
  if (m_config.mass.mass_endpoint.empty() || !std::filesystem::exists(path, none)) {
    return;
  }
  try {
    m_config.host_mappings = parse_host_mapping_lines(read_file(path), path.string());
  } catch (const Error& error) {
    m_log->warning("the console's host mappings are not used: {}", error.what());
  }
}

std::unique_ptr<Logger> Session::open_log(const std::string& file_name,
                                          const std::string& run_id) const {
  LogSettings settings = m_log_settings;
  settings.file_name = file_name;
  settings.run_id = run_id;
  settings.mirror = false;
  return std::make_unique<Logger>(settings);
}

void Session::say_warning(const std::string& text) const {
  if (!m_mirrored) {
    fmt::print(stderr, "{}: warning: {}\n", m_tool, escape_control(text));
  }
}

Progress& Session::progress() {
  if (!m_progress) {
    m_progress = make_progress(m_options.progress);
  }
  return *m_progress;
}

State& Session::state() {
  if (!m_state) {
    m_state = open_state(m_config);
  }
  return *m_state;
}

const std::string& Session::proxy_id() {
  if (m_proxy_id.empty()) {
    const std::filesystem::path path =
        std::filesystem::path(m_config.defaults.hamal_lib_dir) / "proxy_id";
    // The tools of a first pipe ask at once.
    const FileLock lock(lock_path("proxy", "id"), path.string(), LockHolder{m_run_id, m_tool},
                        k_proxy_id_wait, cancel());
    std::error_code none;
    if (!std::filesystem::exists(path, none)) {
      write_file_atomically(path, host_name() + "-" + random_hex(k_proxy_digits) + "\n");
    }
    m_proxy_id = trim(read_file(path));
    if (m_proxy_id.empty()) {
      throw Error(ErrorKind::failed, "is empty", path.string(),
                  "remove it: this proxy is then another one");
    }
  }
  return m_proxy_id;
}

const LeaseOwner& Session::lease_owner() {
  if (m_lease_owner.id.empty()) {
    m_lease_owner = {.id = random_hex(k_owner_digits),
                     .host = host_name(),
                     .proxy = proxy_id(),
                     .scope = lock_scope(lock_path("lease", "").parent_path())};
  }
  return m_lease_owner;
}

LeaseKeeper& Session::lease_keeper() {
  if (!m_lease_keeper) {
    auto own = std::make_shared<std::unique_ptr<State>>();
    const auto renew = [this, own](const LeaseKey& key, const LeaseToken& token,
                                   std::chrono::milliseconds ttl) {
      if (!*own) {
        *own = open_state(m_config, LeaseKeeper::patience(ttl));
      }
      return (*own)->leases().renew(key, token, ttl);
    };
    const auto tell = [this](const LeaseKey& key, LeaseKeeper::Event event,
                             const std::string& why) { tell_of_lease(key, event, why); };
    m_lease_keeper = std::make_unique<LeaseKeeper>(renew, m_config.sync.lease_ttl, tell, boot_time);
  }
  return *m_lease_keeper;
}

void Session::tell_of_lease(const LeaseKey& key, LeaseKeeper::Event event, const std::string& why) {
  const std::string vm = vm_lock_name(key.platform, key.vm_id);
  switch (event) {
    case LeaseKeeper::Event::late:
      m_log->warning(
          "the lease of vm {} cannot be renewed now, and is tried again until it is lost: {}", vm,
          why);
      return;
    case LeaseKeeper::Event::renewed:
      m_log->info("the lease of vm {} is renewed again", vm);
      return;
    case LeaseKeeper::Event::lost:
      m_log->error("the lease of vm {} is lost: {}", vm, why);
      return;
  }
}

void Session::check_leases() const {
  if (m_lease_keeper) {
    m_lease_keeper->check();
  }
}

Endpoint Session::parse_endpoint(const std::string& uri) {
  return m_ceph.attach(hamal::parse_endpoint(uri));
}

std::unique_ptr<Platform> Session::open_platform(const std::string& name, Marking marking) {
  return open_platform(name, marking, cancel());
}

std::unique_ptr<Platform> Session::open_platform(const std::string& name, Marking marking,
                                                 const CancelToken& cancel) {
  std::string mark(k_mark_digits, '0');
  if (marking == Marking::needed) {
    mark = state().installation_id().substr(0, k_mark_digits);
  }
  return hamal::open_platform(name, PlatformContext{m_config, *m_log, cancel, mark});
}

std::filesystem::path Session::lock_path(std::string_view kind, std::string_view name) const {
  const std::filesystem::path folder =
      std::filesystem::path(m_config.defaults.hamal_lib_dir) / "locks";
  make_private_directories(folder);
  std::string safe = percent_encode(name);
  if (safe.size() > k_max_lock_name) {
    safe = fmt::format("{}-{:016x}", safe.substr(0, k_max_lock_name), fnv1a(name));
  }
  return folder / fmt::format("{}-{}.lock", kind, safe);
}

std::filesystem::path host_mapping_file(const Config& config) {
  return std::filesystem::path(config.defaults.log_dir) / "ip_mapping.backup";
}

std::string vm_lock_name(const std::string& platform, const std::string& vm_id) {
  return platform + "/" + vm_id;
}

}  // namespace hamal
