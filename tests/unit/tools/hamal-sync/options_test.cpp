// The command line of hamal-sync, without a file, a platform or a target.
#include "hamal-sync/options.hpp"

#include <gmock/gmock.h>

#include <vector>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

SyncRequest parse(std::vector<const char*> words) {
  words.insert(words.begin(), "hamal-sync");
  return parse_sync_options(static_cast<int>(words.size()), words.data());
}

std::string usage(std::vector<const char*> words) {
  try {
    parse(std::move(words));
  } catch (const Error& error) {
    EXPECT_EQ(exit_status(error), ExitStatus::usage);
    return error.what();
  }
  ADD_FAILURE() << "was accepted";
  return {};
}

TEST(SyncOptionsTest, a_stream_and_a_target_are_enough) {
  const SyncRequest request = parse({"-", "--target", "file:/b/{vm}-{disk}.raw"});
  EXPECT_EQ(request.command, SyncCommand::sync);
  EXPECT_EQ(request.stream, "-");
  EXPECT_EQ(request.target, "file:/b/{vm}-{disk}.raw");
  EXPECT_THAT(request.source, IsEmpty());
  EXPECT_THAT(request.maps, IsEmpty());
  EXPECT_THAT(request.disks, IsEmpty());
}

TEST(SyncOptionsTest, what_is_not_said_is_the_careful_choice) {
  const SyncRequest request = parse({"--source=file:/a", "--target=file:/b"});
  EXPECT_EQ(request.incremental, Incremental::automatic);
  EXPECT_EQ(request.resize, Resize::refuse);
  EXPECT_EQ(request.force, Force::no);
  EXPECT_FALSE(request.dry_run);
  EXPECT_FALSE(request.readers.has_value());
  EXPECT_EQ(request.wait.count(), 0);
  EXPECT_EQ(request.common.format, ReportFormat::text);
}

TEST(SyncOptionsTest, every_option_arrives) {
  const SyncRequest request =
      parse({"--source", "lab:web/vda", "--target", "nbd://h/e", "--disk=vda", "--disk", "1",
             "--incremental=require", "--resize", "--force", "--dry-run", "--readers=7", "--wait",
             "90", "--json"});
  EXPECT_EQ(request.source, "lab:web/vda");
  EXPECT_THAT(request.disks, ElementsAre("vda", "1"));
  EXPECT_EQ(request.incremental, Incremental::require);
  EXPECT_EQ(request.resize, Resize::allow);
  EXPECT_EQ(request.force, Force::yes);
  EXPECT_TRUE(request.dry_run);
  EXPECT_EQ(request.readers, 7U);
  EXPECT_EQ(request.wait, std::chrono::seconds(90));
  EXPECT_EQ(request.common.format, ReportFormat::json);
}

TEST(SyncOptionsTest, the_words_of_incremental) {
  EXPECT_EQ(parse({"-", "--target=file:/b", "--incremental=auto"}).incremental,
            Incremental::automatic);
  EXPECT_EQ(parse({"-", "--target=file:/b", "--incremental", "never"}).incremental,
            Incremental::never);
  EXPECT_THAT(usage({"-", "--target=file:/b", "--incremental=sometimes"}), HasSubstr("sometimes"));
}

TEST(SyncOptionsTest, maps_may_replace_the_target_and_leave_the_stream_alone) {
  const SyncRequest request = parse({"--map", "vda=file:/a", "-", "--map=vdb=file:/b=c"});
  EXPECT_EQ(request.stream, "-");
  EXPECT_THAT(request.maps, ElementsAre("vda=file:/a", "vdb=file:/b=c"));
}

TEST(SyncOptionsTest, one_source_of_data_and_one_place_to_write) {
  EXPECT_THAT(usage({"--target=file:/b"}), HasSubstr("nothing to read"));
  EXPECT_THAT(usage({"-", "--source=file:/a", "--target=file:/b"}),
              HasSubstr("a stream and --source were given"));
  EXPECT_THAT(usage({"-"}), HasSubstr("--target is missing"));
  EXPECT_THAT(usage({"-", "more", "--target=file:/b"}), HasSubstr("more"));
}

TEST(SyncOptionsTest, compare_reads_two_endpoints) {
  const SyncRequest request = parse({"--compare", "--source=file:/a", "--target=file:/b"});
  EXPECT_EQ(request.command, SyncCommand::compare);
  EXPECT_THAT(usage({"--compare", "-", "--target=file:/b"}), HasSubstr("--compare needs"));
  EXPECT_THAT(usage({"--compare", "--source=file:/a", "--map=0=file:/b"}),
              HasSubstr("--compare needs"));
}

TEST(SyncOptionsTest, numbers_have_bounds) {
  const auto with = [](const char* option) { return usage({"-", "--target=file:/b", option}); };
  EXPECT_EQ(parse({"-", "--target=file:/b", "--readers=1"}).readers, 1U);
  EXPECT_EQ(parse({"-", "--target=file:/b", "--readers=64"}).readers, 64U);
  EXPECT_THAT(with("--readers=0"), HasSubstr("readers"));
  EXPECT_THAT(with("--readers=65"), HasSubstr("readers"));
  EXPECT_THAT(with("--readers=two"), HasSubstr("readers"));
  EXPECT_THAT(with("--wait=-1"), HasSubstr("wait"));
  EXPECT_THAT(with("--wait=604801"), HasSubstr("wait"));
}

TEST(SyncOptionsTest, checkpoint_commands) {
  EXPECT_EQ(parse({"checkpoint", "list"}).command, SyncCommand::list_checkpoints);
  const SyncRequest show = parse({"checkpoint", "show", "--target=file:/b", "--json"});
  EXPECT_EQ(show.command, SyncCommand::show_checkpoints);
  EXPECT_EQ(show.target, "file:/b");
  EXPECT_EQ(show.common.format, ReportFormat::json);
  const SyncRequest forget = parse({"checkpoint", "forget", "--vm", "web01"});
  EXPECT_EQ(forget.command, SyncCommand::forget_checkpoints);
  EXPECT_EQ(forget.vm, "web01");
}

TEST(SyncOptionsTest, release) {
  const SyncRequest one = parse({"release", "--target=file:/b", "--dry-run", "--json"});
  EXPECT_EQ(one.command, SyncCommand::release);
  EXPECT_EQ(one.target, "file:/b");
  EXPECT_TRUE(one.dry_run);
  EXPECT_EQ(one.common.format, ReportFormat::json);
  EXPECT_EQ(parse({"release", "--vm", "web01"}).vm, "web01");
  EXPECT_THAT(usage({"release"}), HasSubstr("release needs --target or --vm"));
}

TEST(SyncOptionsTest, rollback) {
  const SyncRequest one = parse({"rollback", "--target=file:/b", "--dry-run", "--wait=5"});
  EXPECT_EQ(one.command, SyncCommand::roll_back);
  EXPECT_EQ(one.target, "file:/b");
  EXPECT_TRUE(one.dry_run);
  EXPECT_EQ(one.wait, std::chrono::seconds(5));
  EXPECT_EQ(parse({"rollback", "--vm", "web01"}).vm, "web01");
  EXPECT_THAT(usage({"rollback"}), HasSubstr("rollback needs --target or --vm"));
}

TEST(SyncOptionsTest, forgetting_everything_must_be_said) {
  EXPECT_THAT(usage({"checkpoint", "forget"}), HasSubstr("needs --target or --vm"));
}

TEST(SyncOptionsTest, a_checkpoint_command_must_be_one) {
  EXPECT_THAT(usage({"checkpoint"}), HasSubstr("subcommand is required"));
  EXPECT_THAT(usage({"checkpoint", "lst"}), HasSubstr("hamal-sync checkpoint --help"));
}

TEST(SyncOptionsTest, unknown_options_name_the_nearest) {
  EXPECT_THAT(usage({"-", "--targt=file:/b"}), HasSubstr("did you mean --target?"));
}

TEST(SyncOptionsTest, metrics_are_of_runs_alone) {
  EXPECT_EQ(parse({"-", "--target", "file:/a", "--metrics-file", "/m/web.prom"}).metrics_file,
            "/m/web.prom");
  EXPECT_THAT(parse({"-", "--target", "file:/a"}).metrics_file, IsEmpty());
  EXPECT_THAT(usage({"checkpoint", "list", "--metrics-file", "m"}), HasSubstr("is for a run"));
}

}  // namespace
}  // namespace hamal
