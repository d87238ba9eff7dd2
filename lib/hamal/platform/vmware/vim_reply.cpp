#include "hamal/platform/vmware/vim_reply.hpp"

#include <libxml/parser.h>
#include <libxml/tree.h>

#include <memory>
#include <mutex>

#include "hamal/platform/vmware/vim_fault_hints.hpp"
#include "hamal/util/text.hpp"

namespace hamal::vmware {
namespace {

constexpr std::size_t k_longest_reply = 64U << 20U;
constexpr std::size_t k_most_elements = 4'000'000;
constexpr unsigned k_deepest = 200;
constexpr std::string_view k_envelope_space = "http://schemas.xmlsoap.org/soap/envelope/";
constexpr std::string_view k_instance_space = "http://www.w3.org/2001/XMLSchema-instance";
constexpr std::size_t k_longest_words = 500;

struct FreeDocument {
  void operator()(xmlDoc* document) const noexcept { xmlFreeDoc(document); }
};
struct FreeText {
  void operator()(xmlChar* text) const noexcept { xmlFree(text); }
};

[[noreturn]] void refuse(const std::string& call, const std::string& problem) {
  throw Error(ErrorKind::failed, "a reply that is not vSphere's: " + problem, call,
              "check that endpoint is that of a vCenter or an ESXi host");
}

const char* chars(const xmlChar* text) {
  return text == nullptr ? "" : reinterpret_cast<const char*>(text);  // NOLINT: they are bytes
}

std::string_view space_of(const xmlNs* space) {
  return space == nullptr ? std::string_view() : std::string_view(chars(space->href));
}

std::string without_prefix(const std::string& name) {
  const std::size_t colon = name.find(':');
  return colon == std::string::npos ? name : name.substr(colon + 1);
}

class Reader {
 public:
  explicit Reader(const std::string& call) : m_call(call) {}

  XmlElement take(const xmlNode* node, unsigned depth) {
    if (++m_count > k_most_elements) {
      refuse(m_call, "too many elements");
    }
    if (depth > k_deepest) {
      refuse(m_call, "elements within elements without end");
    }
    XmlElement element;
    element.name = chars(node->name);
    element.space = space_of(node->ns);
    for (const xmlAttr* attribute = node->properties; attribute != nullptr;
         attribute = attribute->next) {
      take_attribute(node, *attribute, element);
    }
    for (const xmlNode* child = node->children; child != nullptr; child = child->next) {
      if (child->type == XML_ELEMENT_NODE) {
        element.children.push_back(take(child, depth + 1));
      } else if (child->type == XML_TEXT_NODE) {
        element.text += chars(child->content);
      }
    }
    if (!element.children.empty()) {
      element.text.clear();  // white space between them
    }
    return element;
  }

 private:
  static void take_attribute(const xmlNode* node, const xmlAttr& attribute, XmlElement& element) {
    if (std::string_view(chars(attribute.name)) != "type") {
      return;
    }
    const std::unique_ptr<xmlChar, FreeText> value(
        xmlNodeListGetString(node->doc, attribute.children, 1));
    if (space_of(attribute.ns) == k_instance_space) {
      element.type = without_prefix(chars(value.get()));
    } else if (attribute.ns == nullptr) {
      element.object_type = chars(value.get());
    }
  }

  const std::string& m_call;
  std::size_t m_count = 0;
};

XmlElement parse(std::string_view body, const std::string& call) {
  static std::once_flag once;
  std::call_once(once, [] { xmlInitParser(); });
  if (body.empty() || body.size() > k_longest_reply) {
    refuse(call, body.empty() ? "it is empty" : "it is larger than 64 MiB");
  }
  const std::unique_ptr<xmlDoc, FreeDocument> document(
      xmlReadMemory(body.data(), static_cast<int>(body.size()), nullptr, nullptr,
                    XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA));
  const xmlNode* const root = document ? xmlDocGetRootElement(document.get()) : nullptr;
  if (root == nullptr) {
    refuse(call, "it is no XML");
  }
  if (document->intSubset != nullptr) {
    refuse(call, "it has a document type");
  }
  return Reader(call).take(root, 0);
}

/// Of the fault's element: <FileFaultFault xsi:type="FileFault">.
std::string fault_name(const XmlElement& element) {
  constexpr std::string_view k_suffix = "Fault";
  if (!element.type.empty()) {
    return element.type;
  }
  std::string name = element.name;
  if (name.size() > k_suffix.size() && name.ends_with(k_suffix)) {
    name.resize(name.size() - k_suffix.size());
  }
  return name;
}

}  // namespace

VimFault::VimFault(std::string fault, const std::string& words, const XmlElement& detail,
                   const std::string& call)
    : Error(ErrorKind::failed,
            "vSphere answers " + escape_control(fault.substr(0, 100)) +
                (words.empty() ? "" : ": " + escape_control(words.substr(0, k_longest_words))),
            call, fault_hint(fault, detail), fault_transience(fault)),
      m_fault(std::move(fault)) {}

VimFault fault_of(const XmlElement& localized, const std::string& call) {
  const XmlElement* const fault = localized.find("fault");
  static const XmlElement none;
  return {fault == nullptr ? "an unnamed fault" : fault_name(*fault),
          localized.text_of("localizedMessage"), fault == nullptr ? none : *fault, call};
}

XmlElement parse_vim_reply(std::string_view body, const std::string& call) {
  XmlElement envelope = parse(body, call);
  if (envelope.name != "Envelope" || envelope.space != k_envelope_space) {
    refuse(call, "no SOAP envelope");
  }
  for (XmlElement& part : envelope.children) {
    if (part.name != "Body" || part.space != k_envelope_space || part.children.empty()) {
      continue;
    }
    XmlElement& content = part.children.front();
    if (content.name != "Fault" || content.space != k_envelope_space) {
      return std::move(content);
    }
    const XmlElement* const detail = content.find("detail");
    static const XmlElement none;
    const bool named = detail != nullptr && !detail->children.empty();
    const XmlElement& fault = named ? detail->children.front() : none;
    throw VimFault(named ? fault_name(fault) : content.text_of("faultcode"),
                   content.text_of("faultstring"), fault, call);
  }
  refuse(call, "an envelope with nothing in it");
}

}  // namespace hamal::vmware
