// Replies of the server: a result, or a fault.
#pragma once
#include <string>
#include <string_view>

#include "hamal/platform/vmware/xml_element.hpp"
#include "hamal/util/error.hpp"

namespace hamal::vmware {

/// A fault of the server, in its own words. Callers that know what to do look at fault().
class VimFault : public Error {
 public:
  /// `fault` is the type's name ("FileFault"), `words` what the server says of it, `detail` the
  /// fault's element, `call` what was asked of what.
  VimFault(std::string fault, const std::string& words, const XmlElement& detail,
           const std::string& call);
  const std::string& fault() const noexcept { return m_fault; }

 private:
  std::string m_fault;
};

/// The response element (<MethodResponse>) of an envelope. `call` names the request in messages.
/// Throws VimFault, or Error for what is no reply: not XML, with a document type, no envelope, too
/// large (64 MiB, a million elements, 200 levels).
XmlElement parse_vim_reply(std::string_view body, const std::string& call);

/// The fault that a LocalizedMethodFault element holds (of a task, of a property).
VimFault fault_of(const XmlElement& localized, const std::string& call);

}  // namespace hamal::vmware
