// How long a connection to the state's database waits.
#pragma once
#include <chrono>

namespace hamal {

struct Patience {
  /// For the transaction of another process; ours take milliseconds.
  std::chrono::milliseconds lock{30'000};
  /// For the reply of a server to one statement, and for a connection to it; 0: as [database]
  /// connection says.
  std::chrono::milliseconds reply{0};
  /// For a server that went away, with attempts to connect again.
  std::chrono::milliseconds outage{20'000};
};

}  // namespace hamal
