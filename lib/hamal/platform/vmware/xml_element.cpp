#include "hamal/platform/vmware/xml_element.hpp"

#include <algorithm>
#include <charconv>

#include "hamal/util/error.hpp"
#include "hamal/util/text.hpp"

namespace hamal::vmware {
namespace {

[[noreturn]] void refuse(std::string_view name, const std::string& text, const char* wanted) {
  throw Error(ErrorKind::failed,
              "a reply that is not vSphere's: <" + std::string(name) + "> is \"" +
                  escape_control(text.substr(0, 50)) + "\", not " + wanted,
              {}, "check that endpoint is that of a vCenter or an ESXi host");
}

}  // namespace

const XmlElement* XmlElement::find(std::string_view child) const noexcept {
  const auto found = std::find_if(children.begin(), children.end(),
                                  [child](const XmlElement& one) { return one.name == child; });
  return found == children.end() ? nullptr : &*found;
}

const XmlElement* XmlElement::at(std::initializer_list<std::string_view> path) const noexcept {
  const XmlElement* element = this;
  for (const std::string_view child : path) {
    element = element == nullptr ? nullptr : element->find(child);
  }
  return element;
}

std::string XmlElement::text_of(std::string_view child) const {
  const XmlElement* const found = find(child);
  return found == nullptr ? std::string() : found->text;
}

std::optional<std::int64_t> XmlElement::number(std::string_view child) const {
  const XmlElement* const found = find(child);
  if (found == nullptr) {
    return std::nullopt;
  }
  const std::string_view digits = trim(found->text);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) {
    refuse(child, found->text, "a number");
  }
  return value;
}

std::optional<bool> XmlElement::flag(std::string_view child) const {
  const XmlElement* const found = find(child);
  if (found == nullptr) {
    return std::nullopt;
  }
  const std::string_view word = trim(found->text);
  if (word == "true" || word == "1") {
    return true;
  }
  if (word == "false" || word == "0") {
    return false;
  }
  refuse(child, found->text, "true or false");
}

}  // namespace hamal::vmware
