// Any bytes as the lines of a [job]: an Error(usage), or a job whose times and windows can be
// asked.
#include <fnmatch.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "hamal/config/config.hpp"
#include "hamal/period/job.hpp"
#include "hamal/util/error.hpp"

namespace {

using hamal::period::TimePoint;

void check(bool holds) {
  if (!holds) {
    std::abort();
  }
}

void check_times(const hamal::period::Job& job) {
  TimePoint when{std::chrono::seconds(1'764'500'000)};
  check(job.interval.has_value() != job.schedule.has_value());
  for (int times = 0; job.schedule && times < 3; ++times) {
    const TimePoint next = job.schedule->next(when);
    check(next > when);
    check(next.time_since_epoch() % std::chrono::minutes(1) == TimePoint::duration::zero());
    when = next;
  }
  for (const auto& window : job.windows) {
    const TimePoint opens = window.opens(when);
    check(opens >= when);
    check(opens == when || window.contains(opens));
  }
  job.bandwidth_at(when);
}

// * and ? mean what they mean in a shell; of what else means something there, nothing does here.
void check_pattern(const std::string& pattern) {
  if (pattern.find_first_of("[]\\") != std::string::npos) {
    return;
  }
  for (const char* text : {"", "a", "web01", "*", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"}) {
    check(hamal::period::matches_pattern(pattern, text) ==
          (::fnmatch(pattern.c_str(), text, 0) == 0));
  }
}

}  // namespace

// NOLINTNEXTLINE: libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // NOLINTNEXTLINE: bytes are what a file is made of
  const std::string lines(reinterpret_cast<const char*>(data), size);
  try {
    const hamal::Config config = hamal::parse_config(
        "[platform lab]\ntype=file\npath=/srv\n[job j]\nplatform=lab\n" + lines, "fuzz.conf");
    for (const hamal::period::Job& job : hamal::period::jobs_of(config)) {
      check_times(job);
      check_pattern(job.vm);
    }
  } catch (const hamal::Error& error) {
    check(error.kind() == hamal::ErrorKind::usage);
  }
  return 0;
}
