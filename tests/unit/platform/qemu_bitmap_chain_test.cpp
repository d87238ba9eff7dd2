// The chain of bitmaps: complete, or a full with the reason.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hamal/platform/qemu/bitmap_chain.hpp"

namespace hamal::qemu {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string k_first = "hamal-0123abcd-000001-aaaa-none-00000001";
const std::string k_second = "hamal-0123abcd-000002-bbbb-aaaa-00000001";
const std::string k_third = "hamal-0123abcd-000003-cccc-bbbb-00000001";

enum class Recording { off, on };
BitmapState bitmap(const std::string& name, Recording recording = Recording::off,
                   std::uint64_t granularity = 4096) {
  BitmapState state;
  state.name = name;
  state.granularity = granularity;
  state.recording = recording == Recording::on;
  return state;
}

std::vector<BitmapState> three() {
  return {bitmap(k_third, Recording::on), bitmap(k_first), bitmap(k_second),
          bitmap("operators-own", Recording::on)};
}

TEST(QemuBitmapChain, OneStepNeedsTheBaseAlone) {
  const BitmapChain chain = find_chain(three(), k_second, k_third, {});
  EXPECT_THAT(chain.broken, IsEmpty());
  EXPECT_THAT(chain.bitmaps, ElementsAre(k_second));
}

TEST(QemuBitmapChain, FailedRunsLieInBetween) {
  const BitmapChain chain = find_chain(three(), k_first, k_third, {});
  EXPECT_THAT(chain.broken, IsEmpty());
  EXPECT_THAT(chain.bitmaps, ElementsAre(k_second, k_first));
}

TEST(QemuBitmapChain, TheSnapshotsOwnIsNotNeeded) {
  const BitmapChain chain = find_chain({bitmap(k_first), bitmap(k_second)}, k_first, k_third, {});
  EXPECT_THAT(chain.broken, IsEmpty());
}

TEST(QemuBitmapChain, TheFinestGranularityIsTaken) {
  const BitmapChain chain =
      find_chain({bitmap(k_first, Recording::off, 65536), bitmap(k_second)}, k_first, k_third, {});
  EXPECT_EQ(chain.granularity, 4096U);
}

TEST(QemuBitmapChain, AMissingBaseIsNamed) {
  const BitmapChain chain = find_chain({bitmap(k_second)}, k_first, k_third, {});
  EXPECT_THAT(chain.broken, HasSubstr(k_first + " is missing"));
  EXPECT_THAT(chain.bitmaps, IsEmpty());
}

TEST(QemuBitmapChain, ALostBaseKeepsItsReason) {
  const BitmapChain chain = find_chain({}, k_first, k_third, {{k_first, "it was inconsistent"}});
  EXPECT_EQ(chain.broken, "it was inconsistent");
}

TEST(QemuBitmapChain, AMissingLinkBreaksIt) {
  const BitmapChain chain = find_chain({bitmap(k_first), bitmap(k_third)}, k_first, k_third, {});
  EXPECT_THAT(chain.broken, HasSubstr("broken"));
}

TEST(QemuBitmapChain, AStepThatContinuesNothingBreaksIt) {
  const std::string fresh = "hamal-0123abcd-000003-cccc-none-00000001";
  const BitmapChain chain = find_chain({bitmap(k_first), bitmap(k_second)}, k_first, fresh, {});
  EXPECT_THAT(chain.broken, HasSubstr("broken"));
}

TEST(QemuBitmapChain, AnInconsistentOrBusyLinkBreaksIt) {
  auto bitmaps = three();
  bitmaps[2].inconsistent = true;
  EXPECT_THAT(find_chain(bitmaps, k_first, k_third, {}).broken, HasSubstr("inconsistent"));
  bitmaps[2].inconsistent = false;
  bitmaps[2].busy = true;
  EXPECT_THAT(find_chain(bitmaps, k_first, k_third, {}).broken, HasSubstr("in use"));
}

// Disks that were exchanged between two runs: all of a vm have bitmaps of the same snapshots.
TEST(QemuBitmapChain, ABaseOfAnotherDiskIsNotUsed) {
  const std::string theirs = "hamal-0123abcd-000001-aaaa-none-00000002";
  const BitmapChain chain = find_chain({bitmap(theirs), bitmap(k_second)}, k_first, k_third, {});
  EXPECT_THAT(chain.broken, HasSubstr(k_first + " is missing"));
}

TEST(QemuBitmapChain, AnotherInstallationsBaseIsNotUsed) {
  const std::string theirs = "hamal-ffff0000-000001-aaaa-none-00000001";
  const BitmapChain chain = find_chain({bitmap(theirs)}, theirs, k_third, {});
  EXPECT_THAT(chain.broken, HasSubstr("not made by this installation"));
  EXPECT_THAT(find_chain(three(), "bitmap:operators-own", k_third, {}).broken,
              HasSubstr("not made by this installation"));
}

TEST(QemuBitmapChain, ABaseThatIsNotOlderIsNotUsed) {
  EXPECT_FALSE(find_chain(three(), k_third, k_third, {}).broken.empty());
  EXPECT_FALSE(find_chain(three(), k_third, k_second, {}).broken.empty());
}

TEST(QemuBitmapChain, LinksOnlyLeadBackwards) {
  // Two that name each other must not keep us walking.
  const std::string odd = "hamal-0123abcd-000001-aaaa-bbbb-00000001";
  const BitmapChain chain = find_chain(
      {bitmap("hamal-0123abcd-000000-dddd-none-00000001"), bitmap(odd), bitmap(k_second)},
      "hamal-0123abcd-000000-dddd-none-00000001", k_third, {});
  EXPECT_THAT(chain.broken, HasSubstr("broken"));
}

TEST(QemuBitmapChain, TheNextContinuesTheNewestThatRecords) {
  EXPECT_EQ(previous_of_next(three(), "0123abcd"), "cccc");
  EXPECT_EQ(previous_of_next(three(), "ffff0000"), "none");
  EXPECT_EQ(previous_of_next({bitmap(k_first), bitmap(k_second)}, "0123abcd"), "none");
  EXPECT_EQ(previous_of_next({bitmap(k_first, Recording::on), bitmap(k_second, Recording::on)},
                             "0123abcd"),
            "bbbb");
  auto killed = three();
  killed[0].inconsistent = true;
  EXPECT_EQ(previous_of_next(killed, "0123abcd"), "none");
}

}  // namespace
}  // namespace hamal::qemu
