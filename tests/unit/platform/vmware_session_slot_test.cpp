// Sessions of one process share its slot; those of other processes do not.
#include "hamal/platform/vmware/session_slot.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "hamal/util/error.hpp"
#include "hamal/util/units.hpp"
#include "util/temporary_directory.hpp"

namespace hamal::vmware {
namespace {

using namespace std::chrono_literals;

class VmwareSessionSlot : public ::testing::Test {
 protected:
  std::shared_ptr<FileLock> take(const std::string& server = "https://vc") {
    return take_session_slot({.lib_dir = directory.path().string(), .most = 2, .wait = 0ms}, server,
                             cancel);
  }
  /// As another process has it.
  FileLock foreign(const std::string& slot, const std::string& server = "https://vc") {
    return {directory / "vsphere" / (percent_encode(server) + "." + slot),
            "a session",
            {.run_id = {}, .tool = "another"},
            0ms,
            cancel};
  }
  template <typename Call>
  static bool is_busy(Call call) {
    try {
      call();
    } catch (const Error& error) {
      return error.kind() == ErrorKind::busy;
    }
    return false;
  }

  test::TemporaryDirectory directory;
  CancelToken cancel;
};

// A run that failed ends its snapshot by a second client, while its own has the last slot. Break
// it: leave out the look at those that are held.
TEST_F(VmwareSessionSlot, ASlotCoversTheFurtherClientsOfItsProcess) {
  const FileLock others = foreign("0");
  auto first = take();
  auto second = take();
  EXPECT_TRUE(is_busy([&] { foreign("1"); }));
  first.reset();
  EXPECT_TRUE(is_busy([&] { foreign("1"); })) << "its second client is still there";
  second.reset();
  EXPECT_NO_THROW(foreign("1"));
}

// Break it: go on without a slot, or take one of another server for it.
TEST_F(VmwareSessionSlot, WhereOthersHaveAllNoneIsHad) {
  const FileLock one = foreign("0");
  const auto elsewhere = take("https://other");
  {
    const FileLock two = foreign("1");
    try {
      take();
      ADD_FAILURE() << "it was given";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::busy);
      EXPECT_THAT(error.hint(), ::testing::HasSubstr("max_sessions"));
    }
  }
  EXPECT_NO_THROW(take());
}

}  // namespace
}  // namespace hamal::vmware
