// The command line of hamal-cbt-read, without a file or a platform.
#include "hamal-cbt-read/options.hpp"

#include <gmock/gmock.h>

#include <vector>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ReadRequest parse(std::vector<const char*> words) {
  words.insert(words.begin(), "hamal-cbt-read");
  return parse_read_options(static_cast<int>(words.size()), words.data());
}

std::string usage(std::vector<const char*> words) {
  try {
    parse(std::move(words));
  } catch (const Error& error) {
    EXPECT_EQ(exit_status(error), ExitStatus::usage);
    return error.what();
  }
  return {};
}

TEST(ReadOptionsTest, one_base_is_taken) {
  EXPECT_EQ(parse({"-", "--full"}).base, BaseFrom::full);
  const ReadRequest target = parse({"doc.json", "--target", "file:/b/{vm}-{disk}.raw"});
  EXPECT_EQ(target.base, BaseFrom::target);
  EXPECT_EQ(target.target, "file:/b/{vm}-{disk}.raw");
  EXPECT_EQ(target.operand, "doc.json");
  const ReadRequest since = parse({"-", "--since", "vda=bitmap:a", "--since=b"});
  EXPECT_EQ(since.base, BaseFrom::since);
  EXPECT_THAT(since.since, ElementsAre("vda=bitmap:a", "b"));
  EXPECT_THAT(parse({"-", "--checkpoint", "a", "--checkpoint", "b"}).checkpoints,
              ElementsAre("a", "b"));
}

TEST(ReadOptionsTest, no_base_and_two_bases_are_errors) {
  EXPECT_THAT(usage({"-"}), HasSubstr("changes since when?"));
  EXPECT_THAT(usage({"-", "--data"}), HasSubstr("changes since when?"));
  EXPECT_THAT(usage({"-", "--full", "--since=x"}), HasSubstr("only one of"));
  EXPECT_THAT(usage({"-", "--target", ""}), HasSubstr("--target: is empty"));
}

TEST(ReadOptionsTest, raw_is_a_full_and_nothing_else) {
  EXPECT_EQ(parse({"-", "--raw"}).form, ReadForm::raw);
  EXPECT_EQ(parse({"-", "--raw", "--full"}).base, BaseFrom::full);
  EXPECT_THAT(usage({"-", "--raw", "--since=x"}), HasSubstr("--raw is a whole disk"));
  EXPECT_THAT(usage({"-", "--raw", "--data"}), HasSubstr("--data"));
}

TEST(ReadOptionsTest, disks_are_listed) {
  EXPECT_THAT(parse({"--disk", "vda", "-", "--full", "--disk=1"}).disks, ElementsAre("vda", "1"));
}

TEST(ReadOptionsTest, endpoints_and_documents_are_told_apart_by_their_text) {
  for (const char* endpoint : {"file:/x.raw", "file:x.raw", "nbd://host/x",
                               "nbd+unix:///x?socket=/s", "lab:web/vda@s", "/dev/loop0"}) {
    EXPECT_TRUE(is_endpoint(endpoint)) << endpoint;
  }
  for (const char* document : {"-", "doc.json", "/tmp/a:b.json", "./a:b", "/dev/fd/63",
                               "/dev/shm/doc.json", "/dev/stdin", ":x"}) {
    EXPECT_FALSE(is_endpoint(document)) << document;
  }
}

TEST(ReadOptionsTest, misspelt_options_name_the_nearest_one) {
  EXPECT_THAT(usage({"-", "--ful"}), HasSubstr("did you mean --full?"));
  EXPECT_THAT(usage({"-", "--tagret", "x"}), HasSubstr("did you mean --target?"));
  EXPECT_THAT(usage({}), HasSubstr("SOURCE"));
  EXPECT_THAT(usage({"-", "--full", "more"}), HasSubstr("unexpected argument more"));
}

}  // namespace
}  // namespace hamal
