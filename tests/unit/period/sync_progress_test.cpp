// Progress lines of hamal-sync: added up over the disks, and told as people read them.
#include "hamal/period/sync_progress.hpp"

#include <gtest/gtest.h>

namespace hamal::period {
namespace {

std::string line(const std::string& object, int done, const std::string& total) {
  return R"({"event":"progress","time":"t","object":")" + object +
         R"(","phase":"copying","done":)" + std::to_string(done) + R"(,"total":)" + total +
         R"(,"rate":1})";
}

TEST(SyncProgress, IsTheSumOfTheDisks) {
  SyncProgress progress;
  EXPECT_EQ(progress.take(line("web/a", 1024, "4096")), "web/a copying 1 KiB/4 KiB");
  progress.take(line("web/b", 100, "200"));
  progress.take(line("web/a", 2048, "4096"));
  EXPECT_EQ(progress.sum().read_bytes, 2148U);
  EXPECT_EQ(progress.sum().total_bytes, 4296U);
  EXPECT_EQ(progress.sum().phase, RunPhase::copy);
}

TEST(SyncProgress, HasNoTotalWhileADiskHasNone) {
  SyncProgress progress;
  progress.take(line("a", 1, "10"));
  progress.take(line("b", 1, "null"));
  EXPECT_EQ(progress.sum().total_bytes, 0U);
}

TEST(SyncProgress, OtherPhasesAreToldAndNotCounted) {
  SyncProgress progress;
  progress.take(line("web/a", 4096, "4096"));
  EXPECT_EQ(progress.take(R"({"event":"phase","object":"web/a","phase":"flushing","done":0})"),
            "web/a flushing 0 B");
  EXPECT_EQ(progress.sum().read_bytes, 4096U);
}

TEST(SyncProgress, OtherLinesAreNone) {
  SyncProgress progress;
  for (const char* other : {"", "hamal-sync: error: no", "{", "{\"event\":", "{\"event\":1}",
                            R"({"event":"progress","object":7,"phase":"x"})"}) {
    EXPECT_FALSE(progress.take(other)) << other;
  }
  EXPECT_EQ(progress.sum().read_bytes, 0U);
}

}  // namespace
}  // namespace hamal::period
