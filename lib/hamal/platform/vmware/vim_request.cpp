#include "hamal/platform/vmware/vim_request.hpp"

#include <stdexcept>

#include "hamal/util/error.hpp"
#include "hamal/util/text.hpp"

namespace hamal::vmware {

VimRequest::VimRequest(std::string method, const ManagedObject& self)
    : m_method(std::move(method)), m_call(m_method + " of " + self.id) {
  object("_this", self);
}

void VimRequest::append_escaped(std::string_view value) {
  for (const char c : value) {
    switch (c) {
      case '&':
        m_body += "&amp;";
        break;
      case '<':
        m_body += "&lt;";
        break;
      case '>':
        m_body += "&gt;";
        break;
      case '"':
        m_body += "&quot;";
        break;
      default:
        if (static_cast<unsigned char>(c) < ' ' && c != '\t' && c != '\n') {
          // The value may be a password.
          throw Error(ErrorKind::usage, "a control character cannot be sent to vSphere", m_call,
                      "look for it in the names, the user and the secret");
        }
        m_body += c;
    }
  }
}

VimRequest& VimRequest::text(std::string_view name, std::string_view value) {
  m_body.append("<").append(name).append(">");
  append_escaped(value);
  m_body.append("</").append(name).append(">");
  return *this;
}

VimRequest& VimRequest::flag(std::string_view name, bool value) {
  return text(name, value ? "true" : "false");
}

VimRequest& VimRequest::number(std::string_view name, std::int64_t value) {
  return text(name, std::to_string(value));
}

VimRequest& VimRequest::object(std::string_view name, const ManagedObject& value) {
  m_body.append("<").append(name).append(" type=\"");
  append_escaped(value.type);
  m_body += "\">";
  append_escaped(value.id);
  m_body.append("</").append(name).append(">");
  return *this;
}

VimRequest& VimRequest::begin(std::string_view name, std::string_view type) {
  m_body.append("<").append(name);
  if (!type.empty()) {
    m_body.append(" xsi:type=\"").append(type).append("\"");
  }
  m_body += ">";
  m_open.emplace_back(name);
  return *this;
}

VimRequest& VimRequest::end() {
  m_body.append("</").append(m_open.at(m_open.size() - 1)).append(">");
  m_open.pop_back();
  return *this;
}

std::string VimRequest::envelope() const {
  if (!m_open.empty()) {
    throw std::logic_error("an element of " + m_method + " was not ended");
  }
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"
         "<soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" "
         "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><soapenv:Body><" +
         m_method + " xmlns=\"urn:vim25\">" + m_body + "</" + m_method +
         "></soapenv:Body></soapenv:Envelope>";
}

}  // namespace hamal::vmware
