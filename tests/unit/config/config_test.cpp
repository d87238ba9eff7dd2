// What a hamal.conf means: values, units, ranges, warnings, messages.
#include "hamal/config/config.hpp"

#include <gmock/gmock.h>

#include <chrono>

#include "hamal/config/keys.hpp"
#include "hamal/util/error.hpp"
#include "operators_block.hpp"

namespace hamal {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// The message of a configuration that is refused; the test fails when it is accepted.
std::string refusal(const std::string& text) {
  try {
    parse_config(text, "test.conf");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "accepted:\n" << text;
  return {};
}

std::string value_of(const Config& config, const std::string& section, const std::string& key) {
  for (const KeySpec& spec : config_keys()) {
    if (spec.section == section && spec.key == key) {
      return spec.show(config);
    }
  }
  ADD_FAILURE() << "no such key: " << section << " " << key;
  return {};
}

TEST(Config, AnEmptyTextIsTheDefaults) {
  const Config config = parse_config("", "test.conf");
  for (const KeySpec& spec : config_keys()) {
    EXPECT_EQ(spec.show(config), spec.fallback) << spec.section << " " << spec.key;
  }
  EXPECT_THAT(config.warnings, IsEmpty());
}

TEST(Config, TheOperatorsBlockParsesVerbatim) {
  const Config config = parse_config(test::k_operators_block, "test.conf");
  EXPECT_THAT(config.warnings, IsEmpty());
  EXPECT_EQ(config.period.interval, 60s);
  EXPECT_EQ(config.fusion_compute.local_host_ip, "");
  EXPECT_FALSE(config.defaults.debug);
  EXPECT_EQ(config.mass.mass_endpoint, "https://console.example:443/");
  EXPECT_EQ(config.mass.auth_key.value, "0123#456;789");
  EXPECT_EQ(config.mass.hyper_exporter_id, "6c1d0a0e-5ac1-4bd1-a6d9-7d7d4c1a7c11");
  EXPECT_EQ(config.state_connection(), "sqlite:///var/lib/hamal/hamal.db");
  // All others are written as their defaults.
  for (const KeySpec& spec : config_keys()) {
    if (spec.key != "mass_endpoint" && spec.key != "auth_key" && spec.key != "hyper_exporter_id") {
      EXPECT_EQ(spec.show(config), spec.fallback) << spec.section << " " << spec.key;
    }
  }
}

TEST(Config, EveryValueReachesItsField) {
  const Config config = parse_config(
      "[DEFAULT]\ndebug=yes\nverbose=ON\nlog_dir=/l\nlog_rotation_type=daily\n"
      "max_logfile_count=3\nmax_logfile_size_mb=7\nhamal_lib_dir=/s\nhamal_info_path=/i\n"
      "[period]\ninterval=5m\ntask_update_wait_time=2\nopenstack_release_cpu_time=3\n"
      "vmware_release_cpu_time=4ms\n"
      "[mass]\nmass_endpoint=https://m\nauth_key=env:KEY\nhyper_exporter_id=h\n"
      "default_request_timeout=1m\npublic_key_path=/p\nenable_get_public_ips=1\n"
      "get_public_ip_timeout=6\nenable_heartbeat_msg=0\n"
      "[vmware]\nskip_disk_flag=TRUE\ndisk_flag_size=1G\nmax_read_blocks=2048\n"
      "[qemu]\nskip_disk_flag=True\n"
      "[sync]\nsave_local_snapshot_metadata=True\nupload_metadata_to_oss=True\n"
      "metadata_store=dir:/m\nsnapshot_max_hold=1d\noutage_max=0\nmemory_limit=1G\n"
      "scratch_dir=/t\nlease_ttl=30s\n"
      "[data_sync_v2]\nfsync_period_frequency=0.5\nfsync_timeout=9\n"
      "parallel_sync_disks_count=5\npre_disk_readers_count=6\n"
      "max_parallel_sync_disks_count=7\nmax_pre_disk_readers_count=8\n"
      "[fusion_compute]\ntask_timeout=10\ncreate_snap_task_timeout=11\n"
      "delete_snap_task_timeout=12\nlocal_host_ip=10.0.0.1\n"
      "max_socket_connections_per_host=13\nmax_writer_num=14\n"
      "[database]\nconnection=postgresql://db/hamal\n",
      "test.conf");
  EXPECT_THAT(config.warnings, IsEmpty());
  EXPECT_TRUE(config.defaults.debug && config.defaults.verbose);
  EXPECT_EQ(config.defaults.log_dir, "/l");
  EXPECT_EQ(config.defaults.log_rotation_type, "daily");
  EXPECT_EQ(config.defaults.max_logfile_count, 3U);
  EXPECT_EQ(config.defaults.max_logfile_size_mb, 7U);
  EXPECT_EQ(config.defaults.hamal_lib_dir, "/s");
  EXPECT_EQ(config.defaults.hamal_info_path, "/i");
  EXPECT_EQ(config.period.interval, 5min);
  EXPECT_EQ(config.period.task_update_wait_time, 2s);
  EXPECT_EQ(config.period.openstack_release_cpu_time, 3ms);
  EXPECT_EQ(config.period.vmware_release_cpu_time, 4ms);
  EXPECT_EQ(config.mass.mass_endpoint, "https://m");
  EXPECT_EQ(config.mass.auth_key.kind, SecretReference::Kind::environment);
  EXPECT_EQ(config.mass.hyper_exporter_id, "h");
  EXPECT_EQ(config.mass.default_request_timeout, 60s);
  EXPECT_EQ(config.mass.public_key_path, "/p");
  EXPECT_TRUE(config.mass.enable_get_public_ips);
  EXPECT_EQ(config.mass.get_public_ip_timeout, 6s);
  EXPECT_FALSE(config.mass.enable_heartbeat_msg);
  EXPECT_TRUE(config.platform_type("vmware").skip_disk_flag);
  EXPECT_EQ(config.platform_type("vmware").disk_flag_size_mb, 1024U);
  EXPECT_EQ(config.platform_type("vmware").max_read_blocks, 2048U);
  EXPECT_TRUE(config.platform_type("qemu").skip_disk_flag);
  EXPECT_FALSE(config.platform_type("openstack_ceph").skip_disk_flag);
  EXPECT_TRUE(config.sync.save_local_snapshot_metadata && config.sync.upload_metadata_to_oss);
  EXPECT_EQ(config.sync.metadata_store, "dir:/m");
  EXPECT_EQ(config.sync.snapshot_max_hold, 24h);
  EXPECT_EQ(config.sync.outage_max, 0s);
  EXPECT_EQ(config.sync.memory_limit, 1ULL << 30U);
  EXPECT_EQ(config.sync.scratch_dir, "/t");
  EXPECT_EQ(config.sync.lease_ttl, 30s);
  EXPECT_EQ(config.data_sync.fsync_period_frequency, 500ms);
  EXPECT_EQ(config.data_sync.fsync_timeout, 9s);
  EXPECT_EQ(config.data_sync.parallel_sync_disks_count, 5U);
  EXPECT_EQ(config.data_sync.pre_disk_readers_count, 6U);
  EXPECT_EQ(config.data_sync.max_parallel_sync_disks_count, 7U);
  EXPECT_EQ(config.data_sync.max_pre_disk_readers_count, 8U);
  EXPECT_EQ(config.fusion_compute.task_timeout, 10s);
  EXPECT_EQ(config.fusion_compute.create_snap_task_timeout, 11s);
  EXPECT_EQ(config.fusion_compute.delete_snap_task_timeout, 12s);
  EXPECT_EQ(config.fusion_compute.local_host_ip, "10.0.0.1");
  EXPECT_EQ(config.fusion_compute.max_socket_connections_per_host, 13U);
  EXPECT_EQ(config.fusion_compute.max_writer_num, 14U);
  EXPECT_EQ(config.state_connection(), "postgresql://db/hamal");
}

TEST(Config, StateFollowsItsDirectory) {
  EXPECT_EQ(parse_config("[DEFAULT]\nhamal_lib_dir = /srv/h\n", "t").state_connection(),
            "sqlite:///srv/h/hamal.db");
}

TEST(Config, AnEmptyValueIsTheDefault) {
  const Config config = parse_config(
      "[period]\ninterval =\n[mass]\nauth_key = \"\"\npublic_key_path = # none\n", "test.conf");
  EXPECT_EQ(config.period.interval, 60s);
  EXPECT_EQ(config.mass.auth_key.kind, SecretReference::Kind::none);
  EXPECT_EQ(config.mass.public_key_path, "");
}

TEST(Config, ARefusedValueNamesFileLineSectionKeyAndWhatIsAllowed) {
  EXPECT_EQ(refusal("[period]\n\n# why\ninterval = soon # now\n"),
            "test.conf:4: [period] interval: \"soon\" is not allowed; allowed: 1s to 365d; a bare "
            "number counts seconds");
}

struct BadValue {
  const char* section;
  const char* line;
};

class RefusedValues : public testing::TestWithParam<BadValue> {};

TEST_P(RefusedValues, AreRefused) {
  const std::string key(GetParam().line, std::string_view(GetParam().line).find('='));
  EXPECT_THAT(
      refusal(std::string("[") + GetParam().section + "]\n" + GetParam().line + "\n"),
      testing::AllOf(testing::StartsWith("test.conf:2: [" + std::string(GetParam().section) + "] " +
                                         key + ": "),
                     HasSubstr("; allowed: ")));
}

INSTANTIATE_TEST_SUITE_P(
    Config, RefusedValues,
    testing::Values(
        BadValue{"DEFAULT", "debug=maybe"}, BadValue{"DEFAULT", "debug=2"},
        BadValue{"DEFAULT", "log_dir=logs"}, BadValue{"DEFAULT", "log_rotation_type=hourly"},
        BadValue{"DEFAULT", "max_logfile_count=0"}, BadValue{"DEFAULT", "max_logfile_count=-1"},
        BadValue{"DEFAULT", "max_logfile_count=1.5"},
        BadValue{"DEFAULT", "max_logfile_count=99999999999999999999"},
        BadValue{"DEFAULT", "max_logfile_size_mb=0"}, BadValue{"period", "interval=0"},
        BadValue{"period", "interval=60 s x"}, BadValue{"period", "interval=9999d"},
        BadValue{"vmware", "disk_flag_size=100K"}, BadValue{"vmware", "max_read_blocks=0"},
        BadValue{"sync", "memory_limit=1"}, BadValue{"sync", "metadata_store=/x"},
        BadValue{"sync", "lease_ttl=1"}, BadValue{"data_sync_v2", "pre_disk_readers_count=0"},
        BadValue{"data_sync_v2", "fsync_timeout=-1"},
        BadValue{"fusion_compute", "local_host_ip=host name"},
        BadValue{"database", "connection=mysql://x"},
        BadValue{"database", "connection=sqlite://relative"}));

TEST(Config, LongAndBinaryValuesDoNotHideTheMessage) {
  const std::string message =
      refusal("[period]\ninterval = \x1b[2J" + std::string(9000, 'x') + "\n");
  EXPECT_LT(message.size(), 250U);
  EXPECT_THAT(message, HasSubstr("\\x1b[2J"));
}

TEST(Config, ARefusedConnectionIsShownUnlessAPasswordIsInIt) {
  const auto refused = [](const std::string& value) {
    return refusal("[database]\nconnection = " + value + "\n");
  };
  EXPECT_THAT(refused("oracle://x"), HasSubstr("oracle://x"));
  EXPECT_THAT(refused("mysql://me:hush@db/x"), Not(HasSubstr("hush")));
  EXPECT_THAT(refused("host=db password=hush"), Not(HasSubstr("hush")));
}

TEST(Config, UnknownKeysAreWarnedAboutWithTheNearest) {
  EXPECT_THAT(parse_config("[period]\nintervall = 5\n", "t").warnings,
              ElementsAre("t:2: [period] intervall: unknown key, ignored; did you mean interval?"));
  EXPECT_THAT(parse_config("[period]\nxyzzyxyzzy = 5\n", "t").warnings,
              ElementsAre("t:2: [period] xyzzyxyzzy: unknown key, ignored"));
  EXPECT_THAT(parse_config("[period]\nlog_dir = /x\n", "t").warnings,
              ElementsAre("t:2: [period] log_dir: unknown key, ignored; it belongs to [DEFAULT]"));
}

TEST(Config, UnknownSectionsAreWarnedAboutOnce) {
  EXPECT_THAT(parse_config("[vmwere]\na=1\nb=2\n", "t").warnings,
              ElementsAre("t:1: [vmwere]: unknown section, ignored; did you mean [vmware]?"));
  EXPECT_THAT(parse_config("[default]\n", "t").warnings,
              ElementsAre("t:1: [default]: unknown section, ignored; did you mean [DEFAULT]?"));
  EXPECT_THAT(parse_config("[platfrom web]\ntype=file\n", "t").warnings,
              ElementsAre("t:1: [platfrom web]: unknown section, ignored; did you mean "
                          "[platform NAME]?"));
}

TEST(Config, AKeySetTwiceInOneFileIsWarnedAboutAndTheLaterCounts) {
  const Config config = parse_config("[period]\ninterval=5\n[mass]\n[period]\ninterval=6\n", "t");
  EXPECT_EQ(config.period.interval, 6s);
  EXPECT_THAT(config.warnings, ElementsAre(HasSubstr("t:5: [period] interval: set twice")));
}

TEST(Config, AStartAboveItsCeilingIsLimited) {
  const Config config =
      parse_config("[data_sync_v2]\npre_disk_readers_count=8\nmax_pre_disk_readers_count=4\n", "t");
  EXPECT_EQ(config.data_sync.pre_disk_readers_count, 4U);
  EXPECT_THAT(config.warnings,
              ElementsAre(HasSubstr("t:2: [data_sync_v2] pre_disk_readers_count")));
  const Config lowered = parse_config("[data_sync_v2]\nmax_parallel_sync_disks_count=2\n", "t");
  EXPECT_EQ(lowered.data_sync.parallel_sync_disks_count, 2U);
  EXPECT_THAT(lowered.warnings, ElementsAre(HasSubstr("t:2: ")));
}

TEST(Config, ShowNeverTellsASecret) {
  const Config config = parse_config("[mass]\nauth_key = hunter2\n", "t");
  EXPECT_EQ(value_of(config, "mass", "auth_key"), "(a plain secret)");
  EXPECT_EQ(config.mass.auth_key.value, "hunter2");
}

}  // namespace
}  // namespace hamal
