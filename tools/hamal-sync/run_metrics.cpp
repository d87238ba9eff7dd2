#include "hamal-sync/run_metrics.hpp"

#include <fmt/core.h>

#include "hamal/sync/result_metrics.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"
#include "hamal/util/time.hpp"

namespace hamal {
namespace {

// The node exporter runs as a user of its own; what is in there is no secret (names and numbers,
// and target URIs never carry one).
constexpr unsigned k_mode = 0644;

double since_epoch(std::chrono::system_clock::time_point when) {
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(when.time_since_epoch());
  return static_cast<double>(milliseconds.count()) / 1000.0;
}

/// What the file says of earlier runs; nothing when there is none, or none that can be read.
std::vector<MetricFamily> read_previous(const std::filesystem::path& path) {
  try {
    return parse_metrics_text(read_file(path));
  } catch (const Error&) {
    return {};
  }
}

/// The file is replaced by a rename: /dev/null would be gone, and a pipe would keep us waiting.
void require_replaceable(const std::filesystem::path& path) {
  std::error_code none;
  if (std::filesystem::exists(path, none) && !std::filesystem::is_regular_file(path, none)) {
    throw Error(ErrorKind::usage, "not a regular file", path.string(),
                "name a file in the textfile collector's directory");
  }
}

}  // namespace

RunMetrics::RunMetrics(const SyncRequest& request, Session& session)
    : m_session(session),
      m_path(request.dry_run ? std::string() : request.metrics_file),
      m_begin(system_clock().steady()) {}

void RunMetrics::note(const SyncResult& result) {
  m_result = result;
}

void RunMetrics::write(int exit_status) noexcept {
  if (m_path.empty()) {
    return;
  }
  try {
    try {
      require_replaceable(m_path);
      const std::chrono::duration<double> took = system_clock().steady() - m_begin;
      const RunOutcome run{m_path.filename().string(), since_epoch(system_clock().wall()),
                           took.count(), exit_status};
      const auto families = sync_metrics(run, m_result, read_previous(m_path));
      write_file_atomically(m_path, metrics_text(families), k_mode);
    } catch (const std::exception& error) {
      m_session.log().warning("no metrics: {}", error.what());
      if (!m_session.mirrored()) {
        fmt::print(stderr, "{}: warning: no metrics: {}\n", m_session.tool(), error.what());
      }
    }
  } catch (...) {  // nor is a warning that cannot be given a failure
  }
}

}  // namespace hamal
