// The suite of platforms: describe a running vm as a PlatformLab, then
// INSTANTIATE_TEST_SUITE_P(Kinds, PlatformConformance, ::testing::Values(PlatformKind{…}), …).
#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "hamal/platform/platform.hpp"

namespace hamal::testing {

/// A vm with one disk on a platform of some kind, started for one test.
class PlatformLab {
 public:
  virtual ~PlatformLab() = default;
  /// As a new process would; `mark` is the installation's.
  virtual std::unique_ptr<Platform> open(const std::string& mark) = 0;
  virtual std::string vm() const = 0;
  virtual SnapshotOptions options() const { return {}; }
  /// Changes the running disk, as a guest does.
  virtual void write(std::uint64_t offset, std::span<const std::byte> data) = 0;
  virtual void zero(std::uint64_t offset, std::uint64_t length) = 0;
  /// What the disk holds now.
  virtual std::vector<std::byte> content() = 0;
  /// Takes away what a snapshot is read from.
  virtual void lose_source(const SnapshotDocument& document) = 0;
  /// Whether vms() knows the vm (an ad-hoc one is not listed).
  virtual bool is_listed() const { return true; }
  /// Whether a snapshot stays as it is while the disk is written.
  virtual bool freezes() const = 0;
  /// Whether changes since a committed snapshot are known.
  virtual bool tracks() const = 0;
  /// Whether the changes before a snapshot that was not committed are lost to the next one.
  virtual bool a_failed_run_costs_a_full() const { return false; }
  /// Whether what changed before a committed snapshot is not told again; a bitmap that is the
  /// operator's is begun anew by the operator alone.
  virtual bool a_commit_begins_anew() const { return true; }

 protected:
  PlatformContext context(const std::string& mark) { return {m_config, m_log, m_cancel, mark}; }
  Config m_config;
  Logger m_log;
  CancelToken m_cancel;
};

struct PlatformKind {
  std::string name;
  std::function<std::unique_ptr<PlatformLab>()> make;
  /// Why it cannot run here; empty when it can.
  std::function<std::string()> missing = [] { return std::string(); };
};

inline void PrintTo(const PlatformKind& kind, std::ostream* out) {
  *out << kind.name;
}

class PlatformConformance : public ::testing::TestWithParam<PlatformKind> {
 protected:
  void SetUp() override;

  /// Brings a copy up to date by what the platform says; `copy` holds the state of the base.
  static void apply(Platform& platform, const SnapshotDocument& document, Changes changes,
                    std::vector<std::byte>& copy);

  std::unique_ptr<PlatformLab> lab;
  std::unique_ptr<Platform> platform;
};

}  // namespace hamal::testing
