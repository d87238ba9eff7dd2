// Snapshots of volumes against a Cinder that answers as it is told: what they go through, and whose
// they are.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hamal/platform/openstack/volume_snapshots.hpp"
#include "platform/openstack_server.hpp"

namespace hamal::openstack {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

constexpr const char* k_id = "b692c789-20261130T172229Z-17ab585e";

std::string one(const std::string& id, const std::string& status) {
  return fmt::format(R"({{"snapshot": {{"id": "{}", "volume_id": "v", "status": "{}"}}}})", id,
                     status);
}

class OpenStackSnapshots : public ScriptedOpenStack {
 protected:
  /// What Cinder says of the snapshot, look by look; the last stays.
  void says(std::vector<std::string> statuses) {
    service = [this, statuses = std::move(statuses)](const Asked& asked) -> Answer {
      if (asked.line == "POST /c/snapshots") {
        ++m_made;
        return {202, one("made-" + std::to_string(m_made), "creating")};
      }
      if (asked.line.starts_with("DELETE ")) {
        ++m_deletes;
        return {202, ""};
      }
      if (asked.line.starts_with("GET /c/messages")) {
        return {200, R"({"messages": [{"user_message": "the driver failed"}]})"};
      }
      const std::string status = statuses.at(std::min(m_looks, statuses.size() - 1));
      ++m_looks;
      return status == "404" ? Answer{404, "{}"} : Answer{200, one("s", status)};
    };
  }
  std::string failure(const std::function<void(VolumeSnapshots&)>& act,
                      std::chrono::milliseconds timeout = 30s) {
    Client client(login, cancel);
    Logger log;
    VolumeSnapshots snapshots(client, log, timeout);
    try {
      act(snapshots);
    } catch (const Error& error) {
      return error.what();
    }
    return "done";
  }
  std::string removal(std::chrono::milliseconds timeout = 30s) {
    Removal result = Removal::gone;
    const std::string said = failure(
        [&](VolumeSnapshots& all) {
          VolumeSnapshot snapshot;
          snapshot.id = "s";
          snapshot.volume = "v";
          result = all.remove(snapshot);
        },
        timeout);
    return said != "done" ? said : result == Removal::gone ? "gone" : "busy";
  }

  std::size_t m_looks = 0;
  int m_made = 0;
  int m_deletes = 0;
};

TEST_F(OpenStackSnapshots, AllAreAskedForBeforeAnyIsWaitedFor) {
  says({"creating", "creating", "available"});
  EXPECT_EQ(failure([](VolumeSnapshots& all) {
              all.create("server", {"a", "b", "c"}, k_id);
            }),
            "done");
  // After the login. Break it: wait within request().
  ASSERT_GE(server.lines.size(), 7U);
  for (std::size_t i = 1; i <= 3; ++i) {
    EXPECT_EQ(server.lines[i], "POST /c/snapshots");
  }
}

TEST_F(OpenStackSnapshots, AnErrorHasCindersReason) {
  says({"creating", "error"});
  EXPECT_THAT(failure([](VolumeSnapshots& all) { all.create("server", {"a"}, k_id); }),
              HasSubstr("it is \"error\": the driver failed"));
}

TEST_F(OpenStackSnapshots, OneThatStaysCreatingIsGivenUp) {
  says({"creating"});
  EXPECT_THAT(failure([](VolumeSnapshots& all) { all.create("server", {"a"}, k_id); }, 1ms),
              HasSubstr("is still \"creating\""));
  EXPECT_THAT(removal(1ms), HasSubstr("is still \"creating\""));
  EXPECT_EQ(m_deletes, 0);
}

// Break it: take 404 alone for the end, and "busy" waits for the whole timeout.
TEST_F(OpenStackSnapshots, RemovalIsWhatReallyHappened) {
  says({"available", "deleting", "404"});
  EXPECT_EQ(removal(), "gone");
  m_looks = 0;
  says({"404"});
  EXPECT_EQ(removal(), "gone");
  EXPECT_EQ(m_deletes, 1);
  m_looks = 0;
  says({"available", "deleting", "available"});
  EXPECT_EQ(removal(), "busy");
  m_looks = 0;
  says({"available", "deleting", "error_deleting"});
  EXPECT_THAT(removal(), HasSubstr("it is \"error_deleting\": the driver failed"));
  m_looks = 0;
  says({"error", "deleting", "404"});
  EXPECT_EQ(removal(), "gone");
}

TEST_F(OpenStackSnapshots, OnlyNameAndMetadataTogetherMakeOneOurs) {
  const auto listed = [](const std::string& name, const std::string& id, const std::string& of) {
    return fmt::format(R"({{"id": "s", "status": "available", "name": "{}", "metadata":
      {{"hamal_snapshot": "{}", "hamal_server": "{}"}}}})",
                       name, id, of);
  };
  const std::string held = std::string("hamal-") + k_id;
  std::string entries = listed(held, k_id, "server");
  entries += "," + listed(held + ".base", k_id, "server");
  entries += "," + listed("renamed", k_id, "server");
  entries += "," + listed(held, "other", "server");
  entries += "," + listed(held, k_id, "another server");
  entries += R"(,{"id": "s", "status": "available", "name": null})";
  service = [&](const Asked&) { return Answer{200, R"({"snapshots": [)" + entries + "]}"}; };
  std::vector<OurSnapshot> ours;
  EXPECT_EQ(failure([&](VolumeSnapshots& all) { ours = all.of_server("server"); }), "done");
  ASSERT_EQ(ours.size(), 2U);
  EXPECT_EQ(ours[0].id, k_id);
  EXPECT_EQ(ours[0].mark, "b692c789");
  EXPECT_FALSE(ours[0].base);
  EXPECT_TRUE(ours[1].base);
}

}  // namespace
}  // namespace hamal::openstack
