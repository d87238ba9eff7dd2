#include "hamal/store/s3_reply.hpp"

#include <libxml/parser.h>
#include <libxml/tree.h>

#include <charconv>
#include <memory>
#include <mutex>

#include "hamal/util/text.hpp"
#include "hamal/util/time.hpp"
#include "hamal/util/units.hpp"

namespace hamal {
namespace {

struct FreeDocument {
  void operator()(xmlDoc* document) const noexcept { xmlFreeDoc(document); }
};
using Document = std::unique_ptr<xmlDoc, FreeDocument>;

/// More than one reply could be asked to hold.
constexpr std::size_t k_most_entries = 10'000;
constexpr std::size_t k_longest_text = 8192;

/// Null unless it is XML without a document type (entities, external files).
Document parse(std::string_view body) {
  static std::once_flag once;
  std::call_once(once, [] { xmlInitParser(); });
  if (body.empty() || body.size() > (64U << 20U)) {
    return {};
  }
  Document document(
      xmlReadMemory(body.data(), static_cast<int>(body.size()), nullptr, nullptr,
                    XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA));
  if (document && document->intSubset != nullptr) {
    document.reset();
  }
  return document;
}

bool is_named(const xmlNode* node, std::string_view name) {
  // NOLINTNEXTLINE: libxml2's characters are bytes
  return node->type == XML_ELEMENT_NODE && reinterpret_cast<const char*>(node->name) == name;
}

/// The element's own text; a text that is absurdly long is cut.
std::string text_of(const xmlNode* element) {
  std::string text;
  for (const xmlNode* node = element->children; node != nullptr; node = node->next) {
    if (node->type == XML_TEXT_NODE && node->content != nullptr) {
      text += reinterpret_cast<const char*>(node->content);  // NOLINT: see above
    }
    if (text.size() > k_longest_text) {
      text.resize(k_longest_text);
      break;
    }
  }
  return text;
}

const xmlNode* child(const xmlNode* parent, std::string_view name) {
  for (const xmlNode* node = parent->children; node != nullptr; node = node->next) {
    if (is_named(node, name)) {
      return node;
    }
  }
  return nullptr;
}

std::string child_text(const xmlNode* parent, std::string_view name) {
  const xmlNode* const node = child(parent, name);
  return node == nullptr ? std::string() : text_of(node);
}

[[noreturn]] void refuse(const std::string& what, const std::string& problem) {
  throw Error(ErrorKind::failed, "a reply that is not S3's: " + problem, what,
              "check that endpoint is that of an S3 service");
}

/// The root element, which has the given name.
const xmlNode* root_of(const Document& document, std::string_view name, const std::string& what) {
  const xmlNode* const root = document ? xmlDocGetRootElement(document.get()) : nullptr;
  if (root == nullptr || !is_named(root, name)) {
    refuse(what, "no <" + std::string(name) + ">");
  }
  return root;
}

std::string required(const xmlNode* parent, const char* name, const std::string& what) {
  const xmlNode* const node = child(parent, name);
  if (node == nullptr) {
    refuse(what, std::string("<") + name + "> is missing");
  }
  return text_of(node);
}

bool truth(const xmlNode* root, const char* name, const std::string& what) {
  const std::string text = required(root, name, what);
  if (text != "true" && text != "false") {
    refuse(what, std::string("<") + name + "> is \"" + escape_control(text.substr(0, 50)) + "\"");
  }
  return text == "true";
}

/// Decoded when the reply says that keys are encoded.
std::string key_of(const xmlNode* root, const std::string& text, const std::string& what) {
  if (child_text(root, "EncodingType") != "url") {
    return text;
  }
  // "+" is a space to some services and itself to none that encodes.
  std::string spaces = text;
  for (char& c : spaces) {
    c = c == '+' ? ' ' : c;
  }
  const auto decoded = percent_decode(spaces);
  if (!decoded) {
    refuse(what, "a key with a broken percent escape");
  }
  return *decoded;
}

ObjectInfo object_of(const xmlNode* root, const xmlNode* entry, const std::string& what) {
  ObjectInfo info;
  info.key = key_of(root, required(entry, "Key", what), what);
  const std::string size = required(entry, "Size", what);
  const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), info.size);
  if (error != std::errc() || end != size.data() + size.size()) {
    refuse(what, "<Size> is \"" + escape_control(size.substr(0, 50)) + "\"");
  }
  const std::string modified = required(entry, "LastModified", what);
  const auto when = parse_rfc3339(modified);
  if (!when) {
    refuse(what, "<LastModified> is \"" + escape_control(modified.substr(0, 50)) + "\"");
  }
  info.modified = *when;
  return info;
}

}  // namespace

S3Refusal parse_s3_refusal(std::string_view body) {
  S3Refusal refusal;
  const Document document = parse(body);
  const xmlNode* const root = document ? xmlDocGetRootElement(document.get()) : nullptr;
  if (root == nullptr || !is_named(root, "Error")) {
    return refusal;
  }
  const auto shown = [root](const char* name) {
    return escape_control(child_text(root, name).substr(0, 300));
  };
  refusal.code = shown("Code");
  refusal.message = shown("Message");
  refusal.region = shown("Region");
  refusal.endpoint = shown("Endpoint");
  return refusal;
}

S3Listing parse_s3_listing(std::string_view body, const std::string& what) {
  const Document document = parse(body);
  const xmlNode* const root = root_of(document, "ListBucketResult", what);
  S3Listing listing;
  listing.truncated = truth(root, "IsTruncated", what);
  listing.next = child_text(root, "NextContinuationToken");
  for (const xmlNode* node = root->children; node != nullptr; node = node->next) {
    if (!is_named(node, "Contents")) {
      continue;
    }
    if (listing.objects.size() == k_most_entries) {
      refuse(what, "more entries than were asked for");
    }
    listing.objects.push_back(object_of(root, node, what));
  }
  if (listing.truncated && listing.next.empty()) {
    refuse(what, "<NextContinuationToken> is missing");
  }
  return listing;
}

S3VersionListing parse_s3_version_listing(std::string_view body, const std::string& what) {
  const Document document = parse(body);
  const xmlNode* const root = root_of(document, "ListVersionsResult", what);
  S3VersionListing listing;
  listing.truncated = truth(root, "IsTruncated", what);
  listing.next_key = key_of(root, child_text(root, "NextKeyMarker"), what);
  listing.next_id = child_text(root, "NextVersionIdMarker");
  for (const xmlNode* node = root->children; node != nullptr; node = node->next) {
    if (!is_named(node, "Version") && !is_named(node, "DeleteMarker")) {
      continue;
    }
    if (listing.versions.size() == k_most_entries) {
      refuse(what, "more entries than were asked for");
    }
    listing.versions.push_back({key_of(root, required(node, "Key", what), what),
                                required(node, "VersionId", what), is_named(node, "DeleteMarker")});
  }
  if (listing.truncated && listing.next_key.empty()) {
    refuse(what, "<NextKeyMarker> is missing");
  }
  return listing;
}

S3Versioning parse_s3_versioning(std::string_view body, const std::string& what) {
  const Document document = parse(body);
  const std::string status =
      child_text(root_of(document, "VersioningConfiguration", what), "Status");
  if (status.empty()) {
    return S3Versioning::off;
  }
  if (status != "Enabled" && status != "Suspended") {
    refuse(what, "<Status> is \"" + escape_control(status.substr(0, 50)) + "\"");
  }
  return status == "Enabled" ? S3Versioning::enabled : S3Versioning::suspended;
}

std::string parse_s3_upload_id(std::string_view body, const std::string& what) {
  const Document document = parse(body);
  std::string id =
      required(root_of(document, "InitiateMultipartUploadResult", what), "UploadId", what);
  if (id.empty()) {
    refuse(what, "<UploadId> is empty");
  }
  return id;
}

std::string escape_xml(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

}  // namespace hamal
