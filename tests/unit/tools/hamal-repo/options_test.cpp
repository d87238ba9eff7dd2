#include "hamal-repo/options.hpp"

#include <gmock/gmock.h>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

RepoRequest parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "hamal-repo");
  return parse_repo_options(static_cast<int>(arguments.size()), arguments.data());
}

std::string refusal(const std::vector<const char*>& arguments) {
  try {
    parse(arguments);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.what();
  }
  return "parsed";
}

TEST(RepoOptionsTest, init_takes_any_number_of_recipients) {
  EXPECT_THAT(parse({"init", "dir:/r"}).key.public_keys, IsEmpty());
  const RepoRequest request = parse({"init", "--recipient", "a", "--recipient", "b", "dir:/r"});
  EXPECT_EQ(request.command, RepoCommand::init);
  EXPECT_EQ(request.repository, "dir:/r");
  EXPECT_THAT(request.key.public_keys, ElementsAre("a", "b"));
}

TEST(RepoOptionsTest, key_has_its_own_commands) {
  EXPECT_THAT(refusal({"key"}), Not(HasSubstr("parsed")));
  RepoRequest request = parse({"key", "generate", "--index-key", "file"});
  EXPECT_EQ(request.command, RepoCommand::key);
  EXPECT_EQ(request.key.action, KeyAction::generate);
  EXPECT_TRUE(request.key.index_key);
  EXPECT_EQ(request.key.file, "file");

  EXPECT_EQ(parse({"key", "show", "dir:/r"}).key.action, KeyAction::show);

  request = parse({"key", "add", "dir:/r", "a", "b"});
  EXPECT_EQ(request.key.action, KeyAction::change);
  EXPECT_EQ(request.repository, "dir:/r");
  EXPECT_THAT(request.key.public_keys, ElementsAre("a", "b"));
  EXPECT_THAT(request.key.recipients, IsEmpty());

  request = parse({"key", "remove", "dir:/r", "01234567", "89abcdef"});
  EXPECT_THAT(request.key.recipients, ElementsAre("01234567", "89abcdef"));
  EXPECT_THAT(request.key.public_keys, IsEmpty());
  EXPECT_FALSE(request.yes);

  request = parse({"key", "rotate", "--yes", "dir:/r", "01234567", "new"});
  EXPECT_THAT(request.key.recipients, ElementsAre("01234567"));
  EXPECT_THAT(request.key.public_keys, ElementsAre("new"));
  EXPECT_TRUE(request.yes);
  EXPECT_THAT(refusal({"key", "rotate", "dir:/r", "01234567"}), HasSubstr("FILE"));
  EXPECT_THAT(refusal({"key", "rotate", "dir:/r", "01234567", "a", "b"}), Not(HasSubstr("parsed")));

  request = parse({"key", "rewrap", "dir:/r"});
  EXPECT_EQ(request.key.action, KeyAction::change);
  EXPECT_THAT(request.key.public_keys, IsEmpty());
  EXPECT_THAT(request.key.recipients, IsEmpty());
}

TEST(RepoOptionsTest, a_private_key_is_named_and_never_given) {
  const RepoRequest request =
      parse({"key", "rewrap", "dir:/r", "--private-key", "credential:alice"});
  EXPECT_EQ(request.key.private_key.kind, SecretReference::Kind::credential);
  EXPECT_EQ(request.key.private_key.value, "alice");
  const std::string text = refusal({"key", "rewrap", "dir:/r", "--private-key", "MC4CAQAwBQ"});
  EXPECT_THAT(text, HasSubstr("never a key"));
  EXPECT_THAT(text, Not(HasSubstr("MC4CAQAwBQ")));
}

}  // namespace
}  // namespace hamal
