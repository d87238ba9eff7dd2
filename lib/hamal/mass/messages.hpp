// What is said to the console (man/mass-api.yaml), as JSON.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hamal::mass {

struct PlatformName {
  std::string name;
  std::string type;
};

struct Registration {
  std::string version;
  std::string installation_id;
  std::string host;
  std::vector<std::string> addresses;
  std::optional<std::vector<std::string>> public_addresses;  ///< nullopt: not asked for
  std::vector<PlatformName> platforms;
};

struct Load {
  double one = 0;
  double five = 0;
  double fifteen = 0;
  unsigned processors = 1;
  std::uint64_t memory_bytes = 0;
  std::uint64_t memory_available_bytes = 0;
};

struct DiskSpace {
  std::string path;
  std::uint64_t size_bytes = 0;
  std::uint64_t free_bytes = 0;
};

/// Exactly one of `job` and `task` is not empty.
struct RunningWork {
  std::string job;
  std::string task;
  std::string platform;
  std::string vm;
  std::string started;  ///< RFC 3339
};

struct JobError {
  std::string job;
  std::string platform;
  std::string vm;  ///< empty: the job as a whole
  std::uint64_t failures = 0;
  std::string error;
};

struct Heartbeat {
  std::string sent;  ///< RFC 3339
  std::string version;
  std::optional<std::int64_t> clock_skew_seconds;  ///< nullopt: the console was not heard yet
  Load load;
  std::vector<DiskSpace> disks;
  std::vector<RunningWork> running;
  std::vector<JobError> errors;
  std::uint64_t undelivered_results = 0;
};

struct TaskProgress {
  std::string updated;  ///< RFC 3339
  std::string phase;    ///< waiting, snapshot, copy or finish
  std::uint64_t read_bytes = 0;
  std::uint64_t total_bytes = 0;  ///< 0: not known
};

struct TaskResult {
  std::string state;   ///< done, failed, refused or interrupted
  std::string reason;  ///< empty when it is done
  int exit_status = 0;
  std::string run_id;  ///< this and what follows: empty when it was not begun
  std::string vm_id;
  std::string started;  ///< RFC 3339
  std::string ended;    ///< RFC 3339; always there
  std::string mode;     ///< full, incremental, full+incremental; empty: not known
  std::uint64_t read_bytes = 0;
};

/// Bytes that are no UTF-8 are replaced, long texts cut: what is said always keeps the contract.
std::string to_json(const Registration& registration);
std::string to_json(const Heartbeat& heartbeat);
std::string to_json(const TaskProgress& progress);
std::string to_json(const TaskResult& result);

}  // namespace hamal::mass
