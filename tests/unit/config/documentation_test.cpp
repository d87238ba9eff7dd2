// The page and the example configuration against the table of keys.
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <regex>
#include <sstream>
#include <stdexcept>

#include "hamal/config/config.hpp"
#include "hamal/config/ini_text.hpp"
#include "hamal/config/keys.hpp"
#include "hamal/util/file.hpp"

namespace hamal {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

// The build knows where its sources are; __FILE__ does not, since ccache makes it relative.
std::filesystem::path source_directory() {
  for (std::filesystem::path at = std::filesystem::read_symlink("/proc/self/exe");
       at.has_relative_path(); at = at.parent_path()) {
    if (!std::filesystem::exists(at.parent_path() / "CMakeCache.txt")) {
      continue;
    }
    const std::string cache = read_file(at.parent_path() / "CMakeCache.txt");
    std::smatch found;
    if (std::regex_search(cache, found, std::regex("\nCMAKE_HOME_DIRECTORY:INTERNAL=(.*)\n"))) {
      return std::string(found[1]);
    }
  }
  throw std::runtime_error("no CMakeCache.txt above the test");
}

std::string source_file(const std::string& name) {
  return read_file(source_directory() / name);
}

std::string example() {
  return source_file("scripts/etc/hamal.conf");
}

// "#key = value" and "#[section]" become what they would be.
std::string uncommented(const std::string& text) {
  std::istringstream in(text);
  std::string result;
  const std::regex setting("#(\\[.*\\]|[a-z0-9_.]+ = .*)");
  for (std::string line; std::getline(in, line);) {
    result += (std::regex_match(line, setting) ? line.substr(1) : line) + "\n";
  }
  return result;
}

// The parts of the page from each heading that names the section to the next heading.
std::string page_section(const std::string& page, const std::string& name) {
  const std::regex heading("\n\\.Ss [^\n]*\\[" + name + "\\][^\n]*\n");
  std::string parts;
  for (std::sregex_iterator found(page.begin(), page.end(), heading), end; found != end; ++found) {
    const std::string rest = found->suffix();
    parts += "\n" + rest.substr(0, std::min(rest.find("\n.Ss "), rest.find("\n.Sh ")) + 1);
  }
  EXPECT_THAT(parts, testing::Not(IsEmpty())) << "the page has no section [" << name << "]";
  return parts;
}

TEST(Documentation, ThePageHasEveryKeyWithItsDefault) {
  const std::string page = source_file("man/hamal.conf.5");
  for (const KeySpec& spec : config_keys()) {
    // An item that shares its text with the following one has its default all the same.
    EXPECT_THAT(page_section(page, spec.section),
                HasSubstr("\n.It Cm " + spec.key + " Pq " +
                          (spec.fallback.empty() ? "none" : spec.fallback) + "\n"))
        << "[" << spec.section << "] " << spec.key;
  }
  for (const NamedKeySpec& spec : named_keys()) {
    const bool stem = spec.key.ends_with('*');
    const std::string key = stem ? spec.key.substr(0, spec.key.size() - 1) : spec.key;
    EXPECT_THAT(page_section(page, spec.kind + " NAME"),
                testing::ContainsRegex("\n\\.It Cm " + key + "[ \n]"));
  }
}

TEST(Documentation, ThePageHasNoKeyThatIsNotThere) {
  const std::string page = source_file("man/hamal.conf.5");
  const std::regex item("\n\\.It Cm ([a-z0-9_.]+)");
  const auto is_known = [](const std::string& key) {
    return std::any_of(config_keys().begin(), config_keys().end(),
                       [&key](const KeySpec& spec) { return spec.key == key; }) ||
           std::any_of(named_keys().begin(), named_keys().end(), [&key](const NamedKeySpec& spec) {
             return spec.key == key || spec.key == key + "*";
           });
  };
  std::size_t count = 0;
  for (std::sregex_iterator found(page.begin(), page.end(), item), end; found != end; ++found) {
    EXPECT_TRUE(is_known((*found)[1])) << (*found)[1];
    ++count;
  }
  EXPECT_GT(count, 50U);
}

TEST(Documentation, ThePageNamesEveryReservedWord) {
  const std::string part = page_section(source_file("man/hamal.conf.5"), "platform NAME");
  for (const char* word : {"file", "nbd", "nbds", "rbd", "s3", "dir", "vmware", "openstack_ceph",
                           "fusion_compute", "qemu", "libvirt", "repository"}) {
    EXPECT_THAT(part, HasSubstr(std::string("\n.Ql ") + word + " "));
  }
}

TEST(Documentation, TheExampleAsItIsAndUncommentedIsTheDefaults) {
  for (const std::string& text : {example(), uncommented(example())}) {
    const Config config = parse_config(text, "hamal.conf");
    EXPECT_THAT(config.warnings, IsEmpty());
    for (const KeySpec& spec : config_keys()) {
      EXPECT_EQ(spec.show(config), spec.fallback) << spec.section << " " << spec.key;
    }
  }
}

TEST(Documentation, TheExampleHasEveryKey) {
  const IniText ini = parse_ini(uncommented(example()), "hamal.conf");
  const auto has = [&ini](const std::string& section, const std::string& key) {
    return std::any_of(ini.entries.begin(), ini.entries.end(), [&](const IniEntry& entry) {
      return entry.section.starts_with(section) && entry.key.starts_with(key);
    });
  };
  for (const KeySpec& spec : config_keys()) {
    EXPECT_TRUE(has(spec.section, spec.key)) << spec.section << " " << spec.key;
  }
  for (const NamedKeySpec& spec : named_keys()) {
    const std::string key = spec.key.substr(0, spec.key.find('*'));
    EXPECT_TRUE(has(spec.kind + " ", key)) << spec.kind << " " << spec.key;
  }
}

}  // namespace
}  // namespace hamal
