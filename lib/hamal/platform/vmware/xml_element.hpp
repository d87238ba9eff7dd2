// An element of a reply, freed of its prefixes.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hamal::vmware {

/// A reference to an object of the server: its kind ("VirtualMachine") and its id there ("vm-36").
struct ManagedObject {
  std::string type;
  std::string id;
  bool empty() const noexcept { return id.empty(); }
  friend bool operator==(const ManagedObject&, const ManagedObject&) = default;
};

struct XmlElement {
  std::string name;         ///< without its prefix
  std::string space;        ///< the namespace's address
  std::string type;         ///< xsi:type without its prefix, whatever prefix it is bound to
  std::string object_type;  ///< the attribute type= of a reference
  std::string text;         ///< its own, without that of its children
  std::vector<XmlElement> children;

  /// The first child of that name, or null.
  const XmlElement* find(std::string_view child) const noexcept;
  /// Follows names: find("config")->find("hardware") …; null when one is missing.
  const XmlElement* at(std::initializer_list<std::string_view> path) const noexcept;
  /// The child's text; empty when there is none (unset properties are absent).
  std::string text_of(std::string_view child) const;
  /// Absent: nullopt. Throws Error when the text is no such value.
  std::optional<std::int64_t> number(std::string_view child) const;
  std::optional<bool> flag(std::string_view child) const;
  ManagedObject reference() const { return {object_type, text}; }
};

}  // namespace hamal::vmware
