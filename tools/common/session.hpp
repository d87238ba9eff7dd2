// What a run of a tool stands on: configuration, log, state, platforms, locks.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "common/common_options.hpp"
#include "hamal/block/endpoint.hpp"
#include "hamal/config/config.hpp"
#include "hamal/platform/ceph_clusters.hpp"
#include "hamal/platform/platform.hpp"
#include "hamal/report/log.hpp"
#include "hamal/report/progress.hpp"
#include "hamal/state/lease_keeper.hpp"
#include "hamal/state/state.hpp"
#include "hamal/util/cancel.hpp"

namespace hamal {

/// Whether this run may create something on the platform, and so needs the installation's mark,
/// which is kept in the state. Reading an ad-hoc file needs neither.
enum class Marking { needed, unneeded };

/// Not thread-safe, but for log() and progress().
class Session {
 public:
  /// Loads the configuration and opens the log; its warnings go to the log and once to stderr. The
  /// run id is inherited from HAMAL_RUN_ID or made, and handed to children by the same variable.
  Session(std::string tool, const CommonOptions& options);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const std::string& tool() const noexcept { return m_tool; }
  const std::string& run_id() const noexcept { return m_run_id; }
  const CommonOptions& options() const noexcept { return m_options; }
  const Config& config() const noexcept { return m_config; }
  const CancelToken& cancel() const noexcept { return process_cancel_token(); }
  Logger& log() noexcept { return *m_log; }
  /// Another file beside the tool's log, under the same settings; never mirrored.
  std::unique_ptr<Logger> open_log(const std::string& file_name, const std::string& run_id) const;
  /// Whether log lines appear on stderr too: then nothing is said there twice.
  bool mirrored() const noexcept { return m_mirrored; }
  /// Says on stderr, as a warning, what the log was told: unless the log is mirrored there.
  void say_warning(const std::string& text) const;
  Progress& progress();
  /// Opened when first asked for.
  State& state();

  /// This proxy for good, whatever it is called: random, made once and kept in hamal_lib_dir, where
  /// its locks and plans are, too. A copy of that folder is not another proxy.
  const std::string& proxy_id();
  /// This process, to the leases of a shared state.
  const LeaseOwner& lease_owner();
  /// Renews what VmLease holds, over a connection of its own.
  LeaseKeeper& lease_keeper();
  /// Throws Error(busy) once any lease that is held is lost. Thread-safe, and cheap.
  void check_leases() const;
  /// parse_endpoint(), with the cluster of the configuration where it is one in Ceph.
  Endpoint parse_endpoint(const std::string& uri);

  std::unique_ptr<Platform> open_platform(const std::string& name,
                                          Marking marking = Marking::needed);
  /// The same with a token of its own: what must be undone after an interrupt is undone by this
  /// one.
  std::unique_ptr<Platform> open_platform(const std::string& name, Marking marking,
                                          const CancelToken& cancel);

  /// hamal_lib_dir/locks/KIND-NAME.lock with NAME made safe; the folder is created. Kinds: vm,
  /// lease and period ("PLATFORM/VM_ID"), target (canonical identity).
  std::filesystem::path lock_path(std::string_view kind, std::string_view name) const;

 private:
  void take_host_mappings();
  void tell_of_lease(const LeaseKey& key, LeaseKeeper::Event event, const std::string& why);

  std::string m_tool;
  CommonOptions m_options;
  std::string m_run_id;
  Config m_config;
  LogSettings m_log_settings;
  bool m_mirrored = false;
  std::unique_ptr<Logger> m_log;
  std::unique_ptr<Progress> m_progress;
  std::unique_ptr<State> m_state;
  std::string m_proxy_id;
  LeaseOwner m_lease_owner;
  CephClusters m_ceph{m_config};
  std::unique_ptr<LeaseKeeper> m_lease_keeper;  // last: its thread uses the log
};

/// Where the console's last good host mappings are kept (hamal-mass(5)).
std::filesystem::path host_mapping_file(const Config& config);
/// The name of a vm in lock_path().
std::string vm_lock_name(const std::string& platform, const std::string& vm_id);

}  // namespace hamal
