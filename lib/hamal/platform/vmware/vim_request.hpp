// Requests: one call in its envelope. A server checks the order of the elements, so the methods
// here are called in the order of the type's definition, base types first.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hamal/platform/vmware/xml_element.hpp"

namespace hamal::vmware {

class VimRequest {
 public:
  VimRequest(std::string method, const ManagedObject& self);

  VimRequest& text(std::string_view name, std::string_view value);
  VimRequest& flag(std::string_view name, bool value);
  VimRequest& number(std::string_view name, std::int64_t value);
  VimRequest& object(std::string_view name, const ManagedObject& value);
  /// An element with others in it, until end(). `type` is an xsi:type, where it is not the
  /// declared one.
  VimRequest& begin(std::string_view name, std::string_view type = {});
  VimRequest& end();

  const std::string& method() const noexcept { return m_method; }
  /// What is called on what, for messages: "CreateSnapshot_Task of vm-36".
  const std::string& call() const noexcept { return m_call; }
  /// Everything that was begun must have ended.
  std::string envelope() const;

 private:
  void append_escaped(std::string_view value);

  std::string m_method;
  std::string m_call;
  std::string m_body;
  std::vector<std::string> m_open;
};

}  // namespace hamal::vmware
