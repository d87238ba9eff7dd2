// The client against a server that answers as it is told: what is asked again, what is said to
// people, and that a token is renewed once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "hamal/platform/openstack/client.hpp"
#include "platform/openstack_server.hpp"

namespace hamal::openstack {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using OpenStackClient = ScriptedOpenStack;

const ApiCall k_list{.path = "/volumes", .what = "list the volumes"};
const ApiCall k_make{
    .method = "POST", .path = "/snapshots", .body = "{}", .what = "make a snapshot"};

TEST_F(OpenStackClient, LogsInByPasswordOrByApplicationCredential) {
  Client(login, cancel).call(k_list);
  EXPECT_EQ(logins[0],
            R"({"auth":{"identity":{"methods":["password"],"password":{"user":{"domain":{"name":)"
            R"("Default"},"name":"backup","password":"hidden-word"}}},"scope":{"project":{"domain")"
            R"(:{"name":"Default"},"name":"demo"}}}})");
  login.application_credential = "21dc";
  login.user.clear();
  Client(login, cancel).call(k_list);
  EXPECT_EQ(logins[1], R"({"auth":{"identity":{"application_credential":{"id":"21dc","secret":)"
                       R"("hidden-word"},"methods":["application_credential"]}}})");
  login.user = "9ce4e1361118472d868d30861a9c39bf";
  Client(login, cancel).call(k_list);
  EXPECT_THAT(logins[2], HasSubstr(R"("name":"21dc")"));
  EXPECT_THAT(logins[2], HasSubstr(R"("user":{"id":"9ce4e1361118472d868d30861a9c39bf"})"));
}

TEST_F(OpenStackClient, ARefusedLoginIsSaidWithoutTheSecret) {
  refuse_login = 401;
  const std::string said = refusal(k_list);
  EXPECT_THAT(said, HasSubstr("Keystone refuses the login: it requires authentication"));
  EXPECT_THAT(said, HasSubstr("user_domain"));
  EXPECT_THAT(said, testing::Not(HasSubstr("hidden-word")));
  EXPECT_FALSE(transient);
  refuse_login = 404;
  EXPECT_THAT(refusal(k_list), HasSubstr("OS_AUTH_URL"));
}

// Break it: leave out forget(), and the second request carries the token that was refused.
TEST_F(OpenStackClient, AnExpiredTokenIsRenewedOnce) {
  service = [](const Asked& asked) {
    const bool old = asked.head.find("token-1") != std::string::npos;
    return old ? Answer{401, ""} : Answer{200, "fresh"};
  };
  EXPECT_EQ(Client(login, cancel).call(k_list), "fresh");
  EXPECT_EQ(logins.size(), 2U);
  service = [](const Asked&) { return Answer{401, ""}; };
  EXPECT_THAT(refusal(k_list), HasSubstr("does not accept a new token"));
  EXPECT_EQ(logins.size(), 4U);
}

TEST_F(OpenStackClient, TheNewestMicroversionBothKnowIsSpoken) {
  service = [](const Asked& asked) {
    if (asked.head.find("OpenStack-API-Version: volume 3.40") != std::string::npos) {
      return Answer{200, "old enough"};
    }
    return Answer{406, R"({"computeFault": {"message": "Minimum is 3.0 and maximum is 3.40."}})"};
  };
  Client client(login, cancel);
  EXPECT_EQ(client.call(k_list), "old enough");
  EXPECT_EQ(client.call(k_list), "old enough");
  // Login, refusal, and one request for each call from then on.
  EXPECT_EQ(server.lines.size(), 4U);
  service = [](const Asked&) {
    return Answer{406, R"({"computeFault": {"message": "Minimum is 3.0 and maximum is 3.20."}})"};
  };
  EXPECT_THAT(refusal(k_list), HasSubstr("3.27 or newer is needed"));
}

TEST_F(OpenStackClient, RefusalsSayWhatToDo) {
  const auto said = [&](int status, const std::string& headers = {}) {
    service = [status, headers](const Asked&) {
      return Answer{status, R"({"x": {"message": "its words"}})", headers};
    };
    return refusal(k_make);
  };
  EXPECT_THAT(said(403),
              testing::AllOf(HasSubstr("the user may not do that: its words"), HasSubstr("ROLES"),
                             HasSubstr("Cinder to make a snapshot")));
  EXPECT_THAT(said(404), HasSubstr("not found: its words"));
  EXPECT_THAT(said(400), HasSubstr("Cinder refuses (HTTP 400): its words"));
  EXPECT_THAT(said(413), HasSubstr("quota is used up: its words"));
  EXPECT_FALSE(transient);
  EXPECT_THAT(said(503), HasSubstr("Cinder answers HTTP 503"));
  EXPECT_TRUE(transient);
}

// A snapshot must not be made twice because a proxy in between lost the reply.
// Break it: repeat POSTs after 503 too.
TEST_F(OpenStackClient, OnlyWhatMayBeRepeatedIs) {
  int asked = 0;
  service = [&asked](const Asked&) {
    return ++asked == 1 ? Answer{503, "", "Retry-After: 1\r\n"} : Answer{200, "done"};
  };
  EXPECT_EQ(Client(login, cancel).call(k_list), "done");
  asked = 0;
  EXPECT_THAT(refusal(k_make), HasSubstr("503"));
  EXPECT_EQ(asked, 1);
  asked = 0;
  service = [&asked](const Asked&) {
    return ++asked == 1 ? Answer{429, "", "Retry-After: 1\r\n"} : Answer{200, "done"};
  };
  EXPECT_EQ(Client(login, cancel).call(k_make), "done");
}

TEST_F(OpenStackClient, ListsFollowTheirPages) {
  service = [](const Asked& asked) {
    const bool second = asked.line == "GET /c/volumes?marker=a";
    return Answer{200, second ? R"({"volumes": [{"id": "b", "size": 1}]})"
                              : R"({"volumes": [{"id": "a", "size": 1}], "volumes_links": [
                                   {"rel": "next", "href": "https://other/x?marker=a"}]})"};
  };
  const auto all = Client(login, cancel).list(k_list, parse_volumes);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[1].id, "b");
  service = [](const Asked&) {
    return Answer{200, R"({"volumes": [], "volumes_links": [{"rel": "next", "href": "x?m=1"}]})"};
  };
  EXPECT_THROW(Client(login, cancel).list(k_list, parse_volumes), Error);
}

// Cinder's attachments come in pages without links. Break it: stop at the first page.
TEST_F(OpenStackClient, ListsWithoutLinksAreAskedUntilAPageIsEmpty) {
  service = [](const Asked& asked) {
    if (asked.line.ends_with("?sort=id")) {
      return Answer{200, R"({"attachments": [{"id": "a", "volume_id": "v"}]})"};
    }
    return Answer{200, asked.line.ends_with("&marker=a")
                           ? R"({"attachments": [{"id": "b", "volume_id": "w"}]})"
                           : R"({"attachments": []})"};
  };
  const ApiCall call{.path = "/attachments/detail?sort=id", .what = "list the attachments"};
  const auto all = Client(login, cancel).list_by_marker(call, parse_attachments);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[1].volume, "w");
}

// A server that lies. Break it: leave check_length() or `seen` out of list() or list_by_marker(),
// and that one never ends.
TEST_F(OpenStackClient, ListsThatNeverEndAreGivenUp) {
  const ApiCall attachments{.path = "/attachments/detail?sort=id", .what = "list the attachments"};
  int page = 0;
  Client client(login, cancel, 5);
  const auto said = [&](const std::function<void()>& list) -> std::string {
    page = 0;
    try {
      list();
    } catch (const Error& error) {
      return error.what();
    }
    return "ended";
  };
  const auto volumes = [&] { client.list(k_list, parse_volumes); };
  const auto by_marker = [&] { client.list_by_marker(attachments, parse_attachments); };
  // A marker that is new each time.
  service = [&page](const Asked&) {
    const std::string number = std::to_string(++page);
    return Answer{200, R"({"volumes": [], "volumes_links": [{"rel": "next", "href": "x?m=)" +
                           number + R"("}], "attachments": [{"id": ")" + number +
                           R"(", "volume_id": "v"}]})"};
  };
  EXPECT_THAT(said(volumes), HasSubstr("does not end: 0 entries in 6 pages so far, of 5 at most"));
  EXPECT_THAT(said(by_marker), HasSubstr("does not end: 6 entries in 6 pages"));
  EXPECT_EQ(page, 6);
  // Two pages, each leading to the other.
  service = [&page](const Asked&) {
    const std::string number = std::to_string(++page % 2);
    return Answer{200, R"({"volumes": [], "volumes_links": [{"rel": "next", "href": "x?m=)" +
                           number + R"("}], "attachments": [{"id": ")" + number +
                           R"(", "volume_id": "v"}]})"};
  };
  EXPECT_THAT(said(volumes), HasSubstr("never ends: a page leads to an earlier one"));
  EXPECT_THAT(said(by_marker), HasSubstr("never ends: a page was there before"));
  EXPECT_EQ(page, 3);
  // One page that is too long.
  service = [](const Asked&) {
    std::string all;
    for (char id = 'a'; id < 'g'; ++id) {
      all += std::string(all.empty() ? "" : ",") + R"({"size": 1, "id": ")" + id + "\"}";
    }
    return Answer{200, R"({"volumes": [)" + all + "]}"};
  };
  EXPECT_THAT(said(volumes), HasSubstr("6 entries in 1 pages"));
}

TEST_F(OpenStackClient, WhatIsNoReplyIsAnError) {
  service = [](const Asked&) { return Answer{200, R"({"volumes": [{"id")"}; };
  EXPECT_THROW(Client(login, cancel).list(k_list, parse_volumes), Error);
}

}  // namespace
}  // namespace hamal::openstack
