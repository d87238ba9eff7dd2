// Errors: the sentence, the mapping to exit statuses, what is transient.
#include "hamal/util/error.hpp"

#include <gtest/gtest.h>

#include <cerrno>

namespace hamal {
namespace {

TEST(Error, SentenceNamesObjectAndHint) {
  const Error error(ErrorKind::failed, "cannot open", "/x", "make it");
  EXPECT_STREQ(error.what(), "/x: cannot open (make it)");
  EXPECT_EQ(error.problem(), "cannot open");
  EXPECT_EQ(error.object(), "/x");
  EXPECT_EQ(error.hint(), "make it");
  EXPECT_STREQ(Error(ErrorKind::failed, "lost").what(), "lost");
}

TEST(Error, EveryKindHasItsExitStatus) {
  const auto status = [](ErrorKind kind, Transience transience = Transience::permanent) {
    return static_cast<int>(exit_status(Error(kind, "x", "", "", transience)));
  };
  EXPECT_EQ(status(ErrorKind::failed), 1);
  EXPECT_EQ(status(ErrorKind::failed, Transience::transient), 75);
  EXPECT_EQ(status(ErrorKind::usage), 2);
  EXPECT_EQ(status(ErrorKind::busy), 4);
  EXPECT_EQ(status(ErrorKind::base_mismatch), 5);
  EXPECT_EQ(status(ErrorKind::wrong_target), 6);
  EXPECT_EQ(status(ErrorKind::interrupted), 130);
  EXPECT_EQ(status(ErrorKind::terminated), 143);
}

TEST(Error, SystemErrorsSayWhatToDoAndWhetherTryingAgainHelps) {
  EXPECT_STREQ(system_error("cannot open", "/x", ENOENT).what(),
               "/x: cannot open: No such file or directory");
  EXPECT_NE(system_error("cannot write", "/x", ENOSPC).hint(), "");
  EXPECT_FALSE(system_error("cannot write", "/x", ENOSPC).transient());
  EXPECT_TRUE(system_error("cannot read", "h", ECONNRESET).transient());
}

TEST(Error, DescribesWhatIsNoErrorToo) {
  EXPECT_EQ(describe(std::make_exception_ptr(Error(ErrorKind::busy, "held", "vm"))), "vm: held");
  EXPECT_EQ(describe(std::make_exception_ptr(std::runtime_error("plain"))), "plain");
  EXPECT_EQ(describe(std::make_exception_ptr(7)), "unknown error");
}

}  // namespace
}  // namespace hamal
