// Properties of the server's objects, through its property collector.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "hamal/platform/vmware/vim_client.hpp"

namespace hamal::vmware {

struct ObjectProperties {
  ManagedObject object;
  std::map<std::string, XmlElement> values;  ///< by path; unset properties are absent
  /// Null when it is not set.
  const XmlElement* find(const std::string& path) const;
  std::string text(const std::string& path) const;
  std::optional<bool> flag(const std::string& path) const;
};

/// Those of one object. A property that may not be read throws NoPermission; an object that is gone
/// ManagedObjectNotFound.
ObjectProperties retrieve(VimClient& client, const ManagedObject& object,
                          const std::vector<std::string>& paths);

/// Those of all objects of that type below the root folder, in pages, each told once. Properties
/// that may not be read are absent here. More than `most`, or a page that goes on and tells of none
/// that its like did not tell of before, is an error.
void retrieve_all(VimClient& client, const std::string& type, const std::vector<std::string>& paths,
                  const std::function<void(ObjectProperties)>& tell, std::size_t most = 1'000'000);

}  // namespace hamal::vmware
