#include "hamal/platform/vmware/properties.hpp"

#include <fmt/core.h>

#include <set>
#include <utility>

namespace hamal::vmware {
namespace {

/// A vm's devices are some 10 KiB: a page is a few megabytes.
constexpr std::int64_t k_page = 200;

enum class Unreadable { absent, fails };

ObjectProperties properties_of(const XmlElement& content, Unreadable unreadable,
                               const std::string& call) {
  ObjectProperties result;
  if (const XmlElement* const object = content.find("obj")) {
    result.object = object->reference();
  }
  for (const XmlElement& child : content.children) {
    if (child.name == "propSet") {
      if (const XmlElement* const value = child.find("val")) {
        result.values[child.text_of("name")] = *value;
      }
    } else if (child.name == "missingSet" && unreadable == Unreadable::fails) {
      if (const XmlElement* const fault = child.find("fault")) {
        throw fault_of(*fault, call + ", " + child.text_of("path"));
      }
    }
  }
  return result;
}

/// A container view of the server's, which ends with it.
class View {
 public:
  View(VimClient& client, const std::string& type) : m_client(client) {
    VimRequest request("CreateContainerView", client.content().view_manager);
    request.object("container", client.content().root_folder)
        .text("type", type)
        .flag("recursive", true);
    // One that is lost ends with the session.
    const XmlElement reply = client.call(request, Repeat::yes);
    if (const XmlElement* const value = reply.find("returnval")) {
      m_view = value->reference();
    }
  }
  ~View() {
    try {
      m_client.call(VimRequest("DestroyView", m_view), Repeat::yes);
    } catch (const std::exception&) {  // NOLINT: see above
    }
  }
  View(const View&) = delete;
  View& operator=(const View&) = delete;
  const ManagedObject& reference() const noexcept { return m_view; }

 private:
  VimClient& m_client;
  ManagedObject m_view;
};

void add_wanted(VimRequest& request, const std::string& type,
                const std::vector<std::string>& paths) {
  request.begin("propSet").text("type", type);
  for (const std::string& path : paths) {
    request.text("pathSet", path);
  }
  request.end();
}

}  // namespace

const XmlElement* ObjectProperties::find(const std::string& path) const {
  const auto found = values.find(path);
  return found == values.end() ? nullptr : &found->second;
}

std::string ObjectProperties::text(const std::string& path) const {
  const XmlElement* const value = find(path);
  return value == nullptr ? std::string() : value->text;
}

std::optional<bool> ObjectProperties::flag(const std::string& path) const {
  const XmlElement* const value = find(path);
  if (value == nullptr) {
    return std::nullopt;
  }
  return value->text == "true" || value->text == "1";
}

ObjectProperties retrieve(VimClient& client, const ManagedObject& object,
                          const std::vector<std::string>& paths) {
  VimRequest request("RetrievePropertiesEx", client.content().property_collector);
  request.begin("specSet");
  add_wanted(request, object.type, paths);
  request.begin("objectSet").object("obj", object).end().end();
  request.begin("options").end();
  const XmlElement reply = client.call(request, Repeat::yes);
  const XmlElement* const content = reply.at({"returnval", "objects"});
  const std::string call = "the properties of " + object.id;
  if (content == nullptr) {
    throw Error(ErrorKind::failed, "the server says nothing", call, {}, Transience::transient);
  }
  return properties_of(*content, Unreadable::fails, call);
}

namespace {

/// Their session has ended, and with it the view and the pages that are left.
bool has_ended(const VimFault& fault) {
  return fault.fault() == "NotAuthenticated" || fault.fault() == "ManagedObjectNotFound";
}

[[noreturn]] void refuse_pages(VimClient& client, const std::string& what) {
  throw Error(ErrorKind::failed, what, client.endpoint().base,
              "see whether something in between changes its replies", Transience::transient);
}

void retrieve_pages(VimClient& client, const std::string& type,
                    const std::vector<std::string>& paths, std::size_t most,
                    const std::function<void(ObjectProperties)>& tell) {
  const View view(client, type);
  const ManagedObject collector = client.content().property_collector;
  VimRequest request("RetrievePropertiesEx", collector);
  request.begin("specSet");
  add_wanted(request, type, paths);
  request.begin("objectSet").object("obj", view.reference()).flag("skip", true);
  request.begin("selectSet", "TraversalSpec")
      .text("name", "view")
      .text("type", "ContainerView")
      .text("path", "view")
      .flag("skip", false)
      .end();
  request.end().end();
  request.begin("options").number("maxObjects", k_page).end();
  XmlElement reply = client.call(request, Repeat::yes);
  // By this view. Each page that goes on has a new one, so there are no more pages than objects.
  std::set<std::string> seen;
  for (;;) {
    const XmlElement* const result = reply.find("returnval");
    if (result == nullptr) {
      return;  // there are none
    }
    const std::size_t before = seen.size();
    for (const XmlElement& content : result->children) {
      if (content.name == "objects") {
        ObjectProperties properties = properties_of(content, Unreadable::absent, type);
        seen.insert(properties.object.id);
        if (seen.size() > most) {
          refuse_pages(client, fmt::format("the server has more than {} objects of the type {}",
                                           most, type));
        }
        tell(std::move(properties));
      }
    }
    const std::string token = result->text_of("token");
    if (token.empty()) {
      return;
    }
    if (seen.size() == before) {
      refuse_pages(client, "the server goes on with objects of the type " + type +
                               " and tells of no further one");
    }
    VimRequest more("ContinueRetrievePropertiesEx", collector);
    more.text("token", token);
    // Its token is spent: after a lost reply all begins anew.
    reply = client.call(more, Repeat::no);
  }
}

}  // namespace

void retrieve_all(VimClient& client, const std::string& type, const std::vector<std::string>& paths,
                  const std::function<void(ObjectProperties)>& tell, std::size_t most) {
  std::set<std::string> told;
  const auto tell_once = [&](ObjectProperties properties) {
    if (told.insert(properties.object.id).second) {
      tell(std::move(properties));
    }
  };
  constexpr int k_tries = 3;
  for (int tries = 1;; ++tries) {
    try {
      retrieve_pages(client, type, paths, most, tell_once);
      return;
    } catch (const VimFault& fault) {
      if (!has_ended(fault) || tries == k_tries) {
        throw;
      }
    }
  }
}

}  // namespace hamal::vmware
