#include "hamal/platform/vmware/vim_reply.hpp"

#include <libxml/parser.h>
#include <libxml/xmlreader.h>

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "hamal/platform/vmware/vim_fault_hints.hpp"
#include "hamal/util/text.hpp"

namespace hamal::vmware {
namespace {

constexpr std::size_t k_longest_reply = 64U << 20U;
/// 200 MB of memory or so. A page of 200 vms has a quarter of them.
constexpr std::size_t k_most_elements = 1'000'000;
constexpr std::size_t k_deepest = 200;
constexpr std::string_view k_envelope_space = "http://schemas.xmlsoap.org/soap/envelope/";
constexpr std::string_view k_instance_space = "http://www.w3.org/2001/XMLSchema-instance";
constexpr std::size_t k_longest_words = 500;

struct FreeReader {
  void operator()(xmlTextReader* reader) const noexcept { xmlFreeTextReader(reader); }
};

[[noreturn]] void refuse(const std::string& call, const std::string& problem) {
  throw Error(ErrorKind::failed, "a reply that is not vSphere's: " + problem, call,
              "check that endpoint is that of a vCenter or an ESXi host");
}

const char* chars(const xmlChar* text) {
  return text == nullptr ? "" : reinterpret_cast<const char*>(text);  // NOLINT: they are bytes
}

std::string without_prefix(const std::string& name) {
  const std::size_t colon = name.find(':');
  return colon == std::string::npos ? name : name.substr(colon + 1);
}

/// Node by node, so that one that is too large ends where it is, with no tree of libxml2's beside
/// ours.
class Reader {
 public:
  Reader(std::string_view body, const std::string& call)
      : m_reader(xmlReaderForMemory(
            body.data(), static_cast<int>(body.size()), nullptr, nullptr,
            XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA)),
        m_call(call) {}

  XmlElement root() {
    int got = m_reader ? xmlTextReaderRead(m_reader.get()) : -1;
    for (; got == 1; got = xmlTextReaderRead(m_reader.get())) {
      take_node();
    }
    if (got != 0 || !m_root) {
      refuse(m_call, "it is no XML");
    }
    return std::move(*m_root);
  }

 private:
  void take_node() {
    switch (xmlTextReaderNodeType(m_reader.get())) {
      case XML_READER_TYPE_DOCUMENT_TYPE:
        refuse(m_call, "it has a document type");
      case XML_READER_TYPE_ELEMENT:
        begin();
        break;
      case XML_READER_TYPE_END_ELEMENT:
        end();
        break;
      case XML_READER_TYPE_TEXT:
      case XML_READER_TYPE_CDATA:
      case XML_READER_TYPE_WHITESPACE:
      case XML_READER_TYPE_SIGNIFICANT_WHITESPACE:
        if (!m_open.empty()) {
          m_open.back().text += chars(xmlTextReaderConstValue(m_reader.get()));
        }
        break;
      default:  // comments
        break;
    }
  }

  void begin() {
    if (++m_count > k_most_elements) {
      refuse(m_call, "too many elements");
    }
    if (m_open.size() > k_deepest) {
      refuse(m_call, "elements within elements without end");
    }
    XmlElement element;
    element.name = chars(xmlTextReaderConstLocalName(m_reader.get()));
    element.space = chars(xmlTextReaderConstNamespaceUri(m_reader.get()));
    const bool ends = xmlTextReaderIsEmptyElement(m_reader.get()) == 1;
    for (int more = xmlTextReaderMoveToFirstAttribute(m_reader.get()); more == 1;
         more = xmlTextReaderMoveToNextAttribute(m_reader.get())) {
      take_attribute(element);
    }
    m_open.push_back(std::move(element));
    if (ends) {
      end();
    }
  }

  void end() {
    XmlElement element = std::move(m_open.back());
    m_open.pop_back();
    if (!element.children.empty()) {
      element.text.clear();  // white space between them
    }
    if (m_open.empty()) {
      m_root = std::move(element);
    } else {
      m_open.back().children.push_back(std::move(element));
    }
  }

  void take_attribute(XmlElement& element) const {
    if (std::string_view(chars(xmlTextReaderConstLocalName(m_reader.get()))) != "type") {
      return;
    }
    const xmlChar* const space = xmlTextReaderConstNamespaceUri(m_reader.get());
    const char* const value = chars(xmlTextReaderConstValue(m_reader.get()));
    if (space == nullptr) {
      element.object_type = value;
    } else if (chars(space) == k_instance_space) {
      element.type = without_prefix(value);
    }
  }

  std::unique_ptr<xmlTextReader, FreeReader> m_reader;
  const std::string& m_call;
  std::size_t m_count = 0;
  std::vector<XmlElement> m_open;
  std::optional<XmlElement> m_root;
};

XmlElement parse(std::string_view body, const std::string& call) {
  static std::once_flag once;
  std::call_once(once, [] { xmlInitParser(); });
  if (body.empty() || body.size() > k_longest_reply) {
    refuse(call, body.empty() ? "it is empty" : "it is larger than 64 MiB");
  }
  return Reader(body, call).root();
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
