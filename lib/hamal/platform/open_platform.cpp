// The one list of platform types.
#include <algorithm>
#include <array>

#include "hamal/platform/file/file_platform.hpp"
#include "hamal/platform/fusioncompute/fusioncompute_platform.hpp"
#include "hamal/platform/nbd/nbd_platform.hpp"
#include "hamal/platform/openstack/openstack_platform.hpp"
#include "hamal/platform/platform.hpp"
#include "hamal/platform/qemu/qemu_platform.hpp"
#include "hamal/platform/rbd/rbd_platform.hpp"
#include "hamal/platform/repository/repository_platform.hpp"
#include "hamal/platform/vmware/vmware_platform.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/nearest.hpp"

namespace hamal {
namespace {

using Maker = std::unique_ptr<Platform> (*)(const std::string&, const NamedSection&,
                                            const PlatformContext&);
enum class Adhoc { no, yes };
struct Type {
  const char* word;
  Maker make;
  Adhoc adhoc;  ///< whether it works without a section
};

constexpr std::array k_types = {
    Type{"file", make_file_platform, Adhoc::yes},
    Type{"fusion_compute", make_fusioncompute_platform, Adhoc::no},
    Type{"nbd", make_nbd_platform, Adhoc::yes},
    Type{"openstack_ceph", make_openstack_platform, Adhoc::no},
    Type{"qemu", make_qemu_platform, Adhoc::no},
    Type{"rbd", make_rbd_platform, Adhoc::yes},
    Type{"repository", make_repository_platform, Adhoc::no},
    Type{"vmware", make_vmware_platform, Adhoc::no},
};

const Type* find_type(const std::string& word) {
  const auto found = std::find_if(k_types.begin(), k_types.end(),
                                  [&](const Type& type) { return word == type.word; });
  return found == k_types.end() ? nullptr : found;
}

std::string known_types() {
  std::string words;
  for (const Type& type : k_types) {
    words += (words.empty() ? "" : ", ") + std::string(type.word);
  }
  return words;
}

[[noreturn]] void refuse_unknown(const std::string& name, const PlatformContext& context) {
  std::vector<std::string> names;
  std::string listed;
  for (const auto& [section, unused] : context.config.platforms) {
    names.push_back(section);
    listed += (listed.empty() ? "" : ", ") + section;
  }
  const std::string near = nearest_name(name, names);
  std::string hint = near.empty() ? "" : "did you mean " + near + "? ";
  hint += listed.empty() ? "the configuration has none" : "the configuration has " + listed;
  throw Error(ErrorKind::usage, "no section [platform " + name + "]", name,
              hint + "; file, nbd and rbd need none");
}

}  // namespace

bool is_repository_platform(const Config& config, const std::string& name) {
  const auto section = config.platforms.find(name);
  return section == config.platforms.end() ? is_repository_uri(name)
                                           : section->second.get("type") == "repository";
}

std::unique_ptr<Platform> open_platform(const std::string& name, const PlatformContext& context) {
  const auto section = context.config.platforms.find(name);
  if (section == context.config.platforms.end()) {
    if (is_repository_uri(name)) {
      NamedSection there;
      there.name = name;
      there.values["endpoint"] = name;
      return make_repository_platform(name, there, context);
    }
    const Type* type = find_type(name);
    if (type == nullptr || type->adhoc == Adhoc::no) {
      refuse_unknown(name, context);
    }
    NamedSection none;
    none.name = name;
    return type->make(name, none, context);
  }
  const std::string word = section->second.require("type");
  const Type* type = find_type(word);
  if (type == nullptr) {
    throw Error(ErrorKind::usage, "this version has no platform of type \"" + word + "\"",
                "[platform " + name + "]", "it knows " + known_types());
  }
  if (word == "file") {
    section->second.require("path");
  }
  return type->make(name, section->second, context);
}

}  // namespace hamal
