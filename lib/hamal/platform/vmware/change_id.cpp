#include "hamal/platform/vmware/change_id.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <string_view>

namespace hamal::vmware {
namespace {

bool is_plain(const std::string& text) {
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return c >= ' ' && c < 0x7f && c != ';'; });
}

template <typename Number>
bool parse_number(const std::string& text, Number& into) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
  return error == std::errc() && !text.empty() && end == text.data() + text.size();
}

}  // namespace

std::string to_string(const ChangeId& id) {
  for (const std::string* word :
       {&id.tracked, &id.vm, &id.snapshot, &id.created, &id.on, &id.before.at}) {
    if (!is_plain(*word)) {
      return {};
    }
  }
  if (id.tracked.empty()) {
    return {};
  }
  return fmt::format("{};vm={};snapshot={};created={};on={};others={};event={};event_at={}",
                     id.tracked, id.vm, id.snapshot, id.created, id.on, id.others, id.before.key,
                     id.before.at);
}

std::optional<ChangeId> parse_change_id(const std::string& text) {
  std::map<std::string, std::string> words;
  ChangeId id;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(';', at), text.size());
    const std::string word = text.substr(at, end - at);
    const std::size_t equals = word.find('=');
    if (at == 0) {
      id.tracked = word;
    } else if (equals == std::string::npos ||
               !words.emplace(word.substr(0, equals), word.substr(equals + 1)).second) {
      return std::nullopt;
    }
    at = end + 1;
  }
  constexpr std::array k_words{"vm", "snapshot", "created", "on", "others", "event", "event_at"};
  for (const char* word : k_words) {
    if (!words.contains(word)) {
      return std::nullopt;
    }
  }
  id.vm = words["vm"];
  id.snapshot = words["snapshot"];
  id.created = words["created"];
  id.on = words["on"];
  id.before.at = words["event_at"];
  if (words.size() != k_words.size() || id.tracked.empty() || id.vm.empty() ||
      id.snapshot.empty() || id.created.empty() || !parse_number(words["others"], id.others) ||
      !parse_number(words["event"], id.before.key) || !is_plain(text.substr(0, text.find(';')))) {
    return std::nullopt;
  }
  return id;
}

ChangeId change_id_of(const Machine& machine, const Snapshot& snapshot, const Disk& disk,
                      const EventMark& before) {
  const std::size_t count = machine.snapshots.size();
  return {.tracked = disk.change_id,
          .vm = machine.object.id,
          .snapshot = snapshot.object.id,
          .created = snapshot.created,
          .on = snapshot.parent,
          .others = static_cast<unsigned>(count == 0 ? 0 : count - 1),
          .before = before};
}

bool same_moment(const ChangeId& a, const ChangeId& b) {
  return a.tracked == b.tracked && a.vm == b.vm && a.snapshot == b.snapshot &&
         a.created == b.created;
}

}  // namespace hamal::vmware
