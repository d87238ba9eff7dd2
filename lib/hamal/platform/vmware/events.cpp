// Read through a collector, in pages, from the oldest on: a single answer of QueryEvents has the
// newest thousand alone.
#include "hamal/platform/vmware/events.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>

#include "hamal/platform/vmware/properties.hpp"
#include "hamal/util/text.hpp"

namespace hamal::vmware {
namespace {

constexpr std::int64_t k_page = 500;
/// A vm with more events than that between two runs is not looked at to the end.
constexpr unsigned k_most_pages = 200;

class Collector {
 public:
  Collector(VimClient& client, const Machine& machine, const std::string& begin)
      : m_client(client) {
    VimRequest request("CreateCollectorForEvents", client.content().event_manager);
    request.begin("filter");
    request.begin("entity").object("entity", machine.object).text("recursion", "self").end();
    if (!begin.empty()) {
      request.begin("time").text("beginTime", begin).end();
    }
    request.flag("disableFullMessage", true).end();
    // One that is lost ends with the session.
    const XmlElement reply = client.call(request, Repeat::yes);
    if (const XmlElement* const value = reply.find("returnval")) {
      m_object = value->reference();
    }
  }
  ~Collector() {
    try {
      m_client.call(VimRequest("DestroyCollector", m_object), Repeat::yes);
    } catch (const std::exception&) {  // NOLINT: see above
    }
  }
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  const ManagedObject& object() const noexcept { return m_object; }
  void rewind() { m_client.call(VimRequest("RewindCollector", m_object), Repeat::yes); }
  XmlElement next() {
    VimRequest request("ReadNextEvents", m_object);
    request.number("maxCount", k_page);
    // Asked twice it would leave a page out.
    return m_client.call(request, Repeat::no);
  }

 private:
  VimClient& m_client;
  ManagedObject m_object;
};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

/// Collectors end with their session.
bool has_ended(const VimFault& fault) {
  return fault.fault() == "NotAuthenticated" || fault.fault() == "ManagedObjectNotFound";
}

/// Once more when the session ended in the middle.
template <typename Ask>
auto ask_again(Ask ask) {
  try {
    return ask();
  } catch (const VimFault& fault) {
    if (!has_ended(fault)) {
      throw;
    }
  }
  return ask();
}

RevertAnswer look_through(VimClient& client, const Machine& machine, const EventMark& mark) {
  Collector collector(client, machine, mark.at);
  collector.rewind();
  bool reaches_back = false;
  for (unsigned page = 0; page < k_most_pages; ++page) {
    const XmlElement reply = collector.next();
    bool is_end = true;
    for (const XmlElement& event : reply.children) {
      if (event.name != "returnval") {
        continue;
      }
      is_end = false;
      const std::int64_t key = event.number("key").value_or(0);
      if (key == mark.key) {
        reaches_back = true;
      } else if (key > mark.key && tells_of_revert(event)) {
        return {Reverted::yes,
                fmt::format("the vm was reverted to a snapshot at {} (event {})",
                            escape_control(event.text_of("createdTime").substr(0, 40)), key)};
      }
    }
    if (is_end) {
      return reaches_back ? RevertAnswer{Reverted::no, {}}
                          : RevertAnswer{Reverted::unknown,
                                         "the server's events reach back no further than the base"};
    }
  }
  return {Reverted::unknown, "the vm has too many events"};
}

EventMark look_for_newest(VimClient& client, const Machine& machine) {
  EventMark newest;
  const Collector collector(client, machine, {});
  const ObjectProperties properties = retrieve(client, collector.object(), {"latestPage"});
  if (const XmlElement* const page = properties.find("latestPage")) {
    for (const XmlElement& event : page->children) {
      const std::int64_t key = event.number("key").value_or(0);
      if (key > newest.key) {
        newest = {.key = key, .at = event.text_of("createdTime")};
      }
    }
  }
  return newest;
}

}  // namespace

bool tells_of_revert(const XmlElement& event) {
  const XmlElement* const info = event.find("info");
  for (const std::string& word :
       {event.type, event.text_of("eventTypeId"),
        info == nullptr ? std::string() : info->text_of("descriptionId")}) {
    // "…VmStateRevertedToSnapshot", "vm.Snapshot.revert", "VirtualMachine.revertToCurrentSnapshot"
    const std::string words = lower(word);
    if (words.find("revert") != std::string::npos && words.find("failed") == std::string::npos) {
      return true;
    }
  }
  return false;
}

EventMark newest_event(VimClient& client, const Machine& machine, Logger& log) {
  if (client.content().event_manager.empty()) {
    log.info("{}: the server has no log of events", machine.name);
    return {};
  }
  try {
    return ask_again([&] { return look_for_newest(client, machine); });
  } catch (const VimFault& fault) {
    log.info("{}: the server's events cannot be read: {}", machine.name, fault.what());
    return {};
  }
}

RevertAnswer reverted_since(VimClient& client, const Machine& machine, const EventMark& mark) {
  if (mark.key <= 0 || mark.at.empty()) {
    return {Reverted::unknown, "the server's events could not be read at the base"};
  }
  if (client.content().event_manager.empty()) {
    return {Reverted::unknown, "the server has no log of events"};
  }
  try {
    return ask_again([&] { return look_through(client, machine, mark); });
  } catch (const VimFault& fault) {
    return {Reverted::unknown, std::string("the server's events cannot be read: ") + fault.what()};
  }
}

}  // namespace hamal::vmware
