// --metrics-file: what became of a run, for the node exporter's textfile collector.
#pragma once
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "common/session.hpp"
#include "hamal-sync/options.hpp"
#include "hamal/stream/extent_stream.hpp"
#include "hamal/sync/result.hpp"

namespace hamal {

/// Lives as long as the run. Without --metrics-file, and in a dry run, it does nothing.
class RunMetrics {
 public:
  RunMetrics(const SyncRequest& request, Session& session);
  /// What the disks became, as soon as it is known: what fails afterwards uncommits nothing.
  void note(const SyncResult& result);
  /// Writes the file. A file that cannot be written is a warning: the run is what it was.
  void write(int exit_status) noexcept;

 private:
  Session& m_session;
  std::filesystem::path m_path;
  std::chrono::steady_clock::time_point m_begin;
  std::optional<SyncResult> m_result;
};

/// run(metrics), with the metrics written at its end, also when it throws.
template <typename Run>
int with_metrics(const SyncRequest& request, Session& session, Run run) {
  RunMetrics metrics(request, session);
  int status = static_cast<int>(ExitStatus::failed);
  try {
    status = run(metrics);
  } catch (const StreamFailed& failed) {
    metrics.write(failed.status());
    throw;
  } catch (const Error& error) {
    metrics.write(static_cast<int>(exit_status(error)));
    throw;
  } catch (...) {
    metrics.write(status);
    throw;
  }
  metrics.write(status);
  return status;
}

}  // namespace hamal
