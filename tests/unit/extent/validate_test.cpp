// Foreign extents: what is refused, and in which words.
#include "hamal/extent/validate.hpp"

#include <gmock/gmock.h>

#include "hamal/util/error.hpp"
#include "model.hpp"

namespace hamal::test {
namespace {

using testing::HasSubstr;

std::string refusal(std::vector<Extent> extents, std::uint64_t size = 1000) {
  try {
    collect(*validate(vector_source(std::move(extents), 1), size, "reply of lab"));
  } catch (const Error& error) {
    EXPECT_EQ(error.object(), "reply of lab");
    EXPECT_EQ(exit_status(error), ExitStatus::failed);
    return error.problem();
  }
  return "accepted";
}

TEST(ExtentValidate, PassesWhatIsRight) {
  EXPECT_EQ(refusal({}), "accepted");
  EXPECT_EQ(refusal({{0, 10, ExtentKind::data}, {10, 990, ExtentKind::zero}}), "accepted");
  EXPECT_EQ(refusal({{0, k_max_disk_size, ExtentKind::data}}, k_max_disk_size), "accepted");
}

TEST(ExtentValidate, NamesTheOffendingExtent) {
  EXPECT_EQ(refusal({{0, 10, ExtentKind::data}, {20, 0, ExtentKind::zero}}),
            "extent 2 (offset 20, length 0, zero) is empty");
}

TEST(ExtentValidate, RefusesWhatIsOutsideTheDisk) {
  EXPECT_THAT(refusal({{1000, 1, ExtentKind::data}}), HasSubstr("not inside the disk"));
  EXPECT_THAT(refusal({{999, 2, ExtentKind::data}}), HasSubstr("which has 1000 bytes"));
  EXPECT_THAT(refusal({{512, ~std::uint64_t{0}, ExtentKind::data}}), HasSubstr("not inside"));
  EXPECT_THAT(refusal({{~std::uint64_t{0}, 1, ExtentKind::data}}), HasSubstr("not inside"));
}

TEST(ExtentValidate, RefusesOverlapsAndStepsBack) {
  EXPECT_THAT(refusal({{0, 10, ExtentKind::data}, {9, 5, ExtentKind::data}}),
              HasSubstr("overlaps the one before it, which ends at 10"));
  EXPECT_THAT(refusal({{50, 10, ExtentKind::data}, {20, 5, ExtentKind::data}}),
              HasSubstr("goes backwards: the one before it starts at 50"));
}

TEST(ExtentValidate, CutsHugeWindows) {
  std::vector<Extent> many;
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    many.push_back({i * 2, 1, ExtentKind::data});
  }
  auto source = validate(vector_source(many, many.size()), 20'000, "reply");
  EXPECT_EQ(drain(*source, 20'000), many);
}

}  // namespace
}  // namespace hamal::test
