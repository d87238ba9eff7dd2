// The command line of hamal-snapshot, without a file or a platform.
#include "hamal-snapshot/options.hpp"

#include <gmock/gmock.h>

#include <cstdlib>
#include <vector>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

SnapshotRequest parse(std::vector<const char*> words) {
  words.insert(words.begin(), "hamal-snapshot");
  return parse_snapshot_options(static_cast<int>(words.size()), words.data());
}

/// The message of the usage error; empty when there was none.
std::string usage(std::vector<const char*> words) {
  try {
    parse(std::move(words));
  } catch (const Error& error) {
    EXPECT_EQ(exit_status(error), ExitStatus::usage);
    return error.what();
  }
  return {};
}

std::string help(std::vector<const char*> words) {
  try {
    parse(std::move(words));
  } catch (const HelpRequested& requested) {
    return requested.text;
  }
  return {};
}

class SnapshotOptionsTest : public ::testing::Test {
 protected:
  void SetUp() override { ::unsetenv("HAMAL_CONFIG"); }
};

TEST_F(SnapshotOptionsTest, create_takes_platform_and_vm_as_one_word) {
  const SnapshotRequest request = parse({"create", "lab:web%2001"});
  EXPECT_EQ(request.command, SnapshotCommand::create);
  EXPECT_EQ(request.vm.platform, "lab");
  EXPECT_EQ(request.vm.vm, "web 01");
  EXPECT_EQ(request.options.offline, Offline::no);
  EXPECT_EQ(request.options.quiesce, Quiesce::no);
}

TEST_F(SnapshotOptionsTest, create_takes_platform_and_vm_as_two_words_literally) {
  const SnapshotRequest request = parse({"create", "lab", "web%2001:x"});
  EXPECT_EQ(request.vm.platform, "lab");
  EXPECT_EQ(request.vm.vm, "web%2001:x");
}

TEST_F(SnapshotOptionsTest, create_takes_an_endpoint) {
  const SnapshotRequest file = parse({"create", "file:/images/a.raw", "--offline"});
  EXPECT_EQ(file.vm.platform, "file");
  EXPECT_EQ(file.vm.vm, "file:/images/a.raw");
  EXPECT_EQ(file.options.offline, Offline::yes);
  EXPECT_EQ(parse({"create", "nbd://host/x"}).vm.platform, "nbd");
}

TEST_F(SnapshotOptionsTest, create_takes_disks_and_quiesce) {
  const SnapshotRequest request =
      parse({"create", "--disk", "vda", "lab:web", "--disk=vdb", "--quiesce", "require"});
  EXPECT_THAT(request.options.disks, ElementsAre("vda", "vdb"));
  EXPECT_EQ(request.options.quiesce, Quiesce::require);
  EXPECT_EQ(parse({"create", "lab:web", "--quiesce=try"}).options.quiesce, Quiesce::try_to);
}

TEST_F(SnapshotOptionsTest, wait_is_a_duration) {
  EXPECT_EQ(parse({"create", "lab:web", "--wait=90"}).wait, std::chrono::seconds(90));
  EXPECT_EQ(parse({"create", "lab:web", "--wait=5m"}).wait, std::chrono::minutes(5));
  EXPECT_THAT(usage({"create", "lab:web", "--wait=soon"}), HasSubstr("--wait: is not a duration"));
}

TEST_F(SnapshotOptionsTest, finish_needs_exactly_one_outcome) {
  EXPECT_EQ(parse({"finish", "-", "--committed"}).outcome, Outcome::committed);
  EXPECT_EQ(parse({"finish", "doc.json", "--failed"}).outcome, Outcome::failed);
  EXPECT_EQ(parse({"finish", "doc.json", "--failed"}).document, "doc.json");
  EXPECT_THAT(usage({"finish", "-"}), HasSubstr("one of --committed and --failed"));
  EXPECT_THAT(usage({"finish", "-", "--failed", "--committed"}),
              HasSubstr("one of --committed and --failed"));
}

TEST_F(SnapshotOptionsTest, list_and_delete_take_both_forms) {
  EXPECT_EQ(parse({"list", "lab"}).vm.vm, "");
  EXPECT_EQ(parse({"list", "lab:web"}).vm.vm, "web");
  EXPECT_EQ(parse({"list", "lab", "web"}).vm.vm, "web");
  const SnapshotRequest two = parse({"delete", "lab:web", "snap-1"});
  EXPECT_EQ(two.command, SnapshotCommand::remove);
  EXPECT_EQ(two.vm.vm, "web");
  EXPECT_EQ(two.snapshot_id, "snap-1");
  const SnapshotRequest three = parse({"delete", "lab", "web", "snap-1"});
  EXPECT_EQ(three.vm.vm, "web");
  EXPECT_EQ(three.snapshot_id, "snap-1");
}

TEST_F(SnapshotOptionsTest, delete_takes_one_word_with_the_snapshot_behind_its_last_at) {
  const SnapshotRequest one = parse({"delete", "lab:web%20a@b@snap-1"});
  EXPECT_EQ(one.command, SnapshotCommand::remove);
  EXPECT_EQ(one.vm.platform, "lab");
  EXPECT_EQ(one.vm.vm, "web a@b");
  EXPECT_EQ(one.snapshot_id, "snap-1");
  EXPECT_THAT(usage({"delete", "lab:web"}), HasSubstr("names no snapshot"));
  EXPECT_THAT(usage({"delete", "lab:web@"}), HasSubstr("names no snapshot"));
}

TEST_F(SnapshotOptionsTest, stale_takes_a_platform_or_a_vm_and_its_own_options) {
  const SnapshotRequest all = parse({"delete", "--stale", "lab"});
  EXPECT_EQ(all.command, SnapshotCommand::remove_stale);
  EXPECT_EQ(all.vm.platform, "lab");
  EXPECT_EQ(all.vm.vm, "");
  EXPECT_FALSE(all.dry_run);
  EXPECT_FALSE(all.older_than);
  const SnapshotRequest one =
      parse({"delete", "lab:web", "--stale", "--dry-run", "--older-than=2h"});
  EXPECT_EQ(one.vm.vm, "web");
  EXPECT_TRUE(one.dry_run);
  EXPECT_EQ(one.older_than, std::chrono::hours(2));
  EXPECT_EQ(parse({"delete", "--stale", "lab", "web"}).vm.vm, "web");
  EXPECT_THAT(usage({"delete", "--stale", "lab", "web", "x"}),
              HasSubstr("--stale takes no snapshot"));
  EXPECT_THAT(usage({"delete", "lab:web@x", "--dry-run"}), HasSubstr("belongs to --stale"));
  EXPECT_THAT(usage({"delete", "lab:web@x", "--older-than=1h"}), HasSubstr("belongs to --stale"));
}

TEST_F(SnapshotOptionsTest, create_takes_fresh) {
  EXPECT_EQ(parse({"create", "lab:web"}).fresh, Fresh::no);
  EXPECT_EQ(parse({"create", "lab:web", "--fresh"}).fresh, Fresh::yes);
}

TEST_F(SnapshotOptionsTest, common_options_stand_before_or_after_the_command) {
  const SnapshotRequest before = parse({"--json", "--config", "/x.conf", "vms", "lab"});
  const SnapshotRequest after = parse({"vms", "lab", "--json", "--config=/x.conf"});
  for (const SnapshotRequest* request : {&before, &after}) {
    EXPECT_EQ(request->common.format, ReportFormat::json);
    EXPECT_EQ(request->common.config_path, "/x.conf");
    EXPECT_EQ(request->common.config_presence, ConfigPresence::required);
  }
  EXPECT_EQ(parse({"vms", "lab"}).common.config_presence, ConfigPresence::optional);
}

TEST_F(SnapshotOptionsTest, the_environment_names_the_configuration) {
  ::setenv("HAMAL_CONFIG", "/env.conf", 1);
  const SnapshotRequest request = parse({"vms", "lab"});
  EXPECT_EQ(request.common.config_path, "/env.conf");
  EXPECT_EQ(request.common.config_presence, ConfigPresence::required);
  EXPECT_EQ(parse({"vms", "lab", "--config", "/x.conf"}).common.config_path, "/x.conf");
}

TEST_F(SnapshotOptionsTest, log_level_and_progress_are_words) {
  const SnapshotRequest request = parse({"vms", "lab", "--log-level=debug", "--progress=json"});
  EXPECT_EQ(request.common.log_level, LogLevel::debug);
  EXPECT_EQ(request.common.progress, ProgressMode::json);
  EXPECT_THAT(usage({"vms", "lab", "--log-level=loud"}), HasSubstr("loud"));
  EXPECT_THAT(usage({"vms", "lab", "--progress=maybe"}), HasSubstr("maybe"));
}

TEST_F(SnapshotOptionsTest, misspelt_words_name_the_nearest_one) {
  EXPECT_THAT(usage({"create", "lab:web", "--quiece=no"}), HasSubstr("did you mean --quiesce?"));
  EXPECT_THAT(usage({"creat", "lab:web"}), HasSubstr("did you mean create?"));
  EXPECT_THAT(usage({"vms", "lab", "--cofnig=x"}), HasSubstr("did you mean --config?"));
  EXPECT_THAT(usage({"vms", "lab", "--zzzzzzzz"}), HasSubstr("unknown option --zzzzzzzz"));
}

TEST_F(SnapshotOptionsTest, missing_and_superfluous_words_are_errors) {
  EXPECT_THAT(usage({}), HasSubstr("--help"));
  EXPECT_THAT(usage({"create"}), HasSubstr("--help"));
  EXPECT_THAT(usage({"create", "lab"}), HasSubstr("names no vm"));
  EXPECT_THAT(usage({"create", "lab:"}), HasSubstr("names no vm"));
  EXPECT_THAT(usage({"create", "lab:%zz"}), HasSubstr("escape"));
  EXPECT_THAT(usage({"delete", "lab"}), HasSubstr("--help"));
  EXPECT_THAT(usage({"vms", "lab", "web"}), HasSubstr("received 2"));
  EXPECT_THAT(usage({"create", "a", "b", "c"}), HasSubstr("c"));
  EXPECT_THAT(usage({"create", "a:b", "--config="}), HasSubstr("--config"));
}

TEST_F(SnapshotOptionsTest, help_and_version_are_texts) {
  EXPECT_THAT(help({"--version"}), ::testing::MatchesRegex("hamal-snapshot [0-9.]+\n"));
  EXPECT_THAT(help({"--help"}), HasSubstr("finish"));
  EXPECT_THAT(help({"create", "--help"}), HasSubstr("--quiesce"));
}

}  // namespace
}  // namespace hamal
