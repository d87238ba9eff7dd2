// The next question begins where the last answer ended: an answer has 2000 areas or so, and one
// without any says nothing of the rest. To ask at the end of the disk is a fault.
#include "hamal/platform/vmware/changed_areas.hpp"

#include <fmt/core.h>

#include <charconv>
#include <memory>
#include <utility>

#include "hamal/extent/algebra.hpp"
#include "hamal/extent/validate.hpp"

namespace hamal::vmware {
namespace {

constexpr std::uint64_t k_sector = 512;

std::string shown(std::optional<std::int64_t> value) {
  return value ? std::to_string(*value) : "none";
}

[[noreturn]] void refuse(const AreasWanted& wanted, std::uint64_t start,
                         const std::string& problem) {
  throw Error(ErrorKind::failed,
              fmt::format("QueryChangedDiskAreas gives an answer that cannot be: {}", problem),
              fmt::format("{} from {} on", wanted.object, start),
              "nothing was written by it; if it stays so, reset change tracking of the vm");
}

VimRequest question(const AreasWanted& wanted, std::uint64_t start) {
  VimRequest request("QueryChangedDiskAreas", wanted.vm);
  request.object("snapshot", wanted.snapshot)
      .number("deviceKey", wanted.key)
      .number("startOffset", static_cast<std::int64_t>(start))
      .text("changeId", wanted.since);
  return request;
}

bool cannot_tell(const VimFault& fault) {
  return fault.fault() == "FileFault" || fault.fault() == "FileNotFound" ||
         fault.fault() == "InvalidArgument" || fault.fault() == "CannotAccessFile";
}

class ChangedAreas final : public ExtentSource {
 public:
  ChangedAreas(std::shared_ptr<VimClient> client, AreasWanted wanted, Logger& log)
      : m_client(std::move(client)), m_wanted(std::move(wanted)), m_log(log) {}

  /// False when the server cannot tell.
  bool ask() {
    try {
      const XmlElement reply = m_client->call(question(m_wanted, m_at), Repeat::yes);
      AreasAnswer answer = parse_areas(reply, m_at, m_wanted);
      m_at += answer.length;
      m_ready = std::move(answer.extents);
      return true;
    } catch (const VimFault& fault) {
      if (!cannot_tell(fault)) {
        throw;
      }
      m_log.warning("{}: changes from {} on are not known: {}", m_wanted.object, m_at,
                    fault.what());
      return false;
    }
  }

  bool next(std::vector<Extent>& window) override {
    window.clear();
    while (m_ready.empty() && m_at < m_wanted.size) {
      if (!ask()) {
        m_ready = {{.offset = m_at, .length = m_wanted.size - m_at, .kind = ExtentKind::data}};
        m_at = m_wanted.size;
      }
    }
    window.swap(m_ready);
    return !window.empty();
  }

 private:
  std::shared_ptr<VimClient> m_client;
  AreasWanted m_wanted;
  Logger& m_log;
  std::uint64_t m_at = 0;
  std::vector<Extent> m_ready;
};

}  // namespace

AreasAnswer parse_areas(const XmlElement& reply, std::uint64_t start, const AreasWanted& wanted) {
  const XmlElement* const value = reply.find("returnval");
  if (value == nullptr) {
    refuse(wanted, start, "it is empty");
  }
  const auto begin = value->number("startOffset");
  const auto length = value->number("length");
  if (!begin || *begin < 0 || static_cast<std::uint64_t>(*begin) != start) {
    refuse(wanted, start, "it begins at " + shown(begin));
  }
  if (!length || *length <= 0) {
    refuse(wanted, start, "it covers " + shown(length) + " bytes");
  }
  AreasAnswer answer{.length = static_cast<std::uint64_t>(*length), .extents = {}};
  if (answer.length > wanted.size - start) {
    refuse(wanted, start,
           fmt::format("it covers {} bytes of {}", answer.length, wanted.size - start));
  }
  const std::uint64_t end = start + answer.length;
  std::uint64_t previous_begin = start;
  std::uint64_t previous_end = start;
  for (const XmlElement& child : value->children) {
    if (child.name != "changedArea") {
      continue;
    }
    const auto from = child.number("start");
    const auto size = child.number("length");
    if (!from || !size || *from < 0 || *size < 0) {
      refuse(wanted, start, fmt::format("an area at {} of {} bytes", shown(from), shown(size)));
    }
    const Extent extent{.offset = static_cast<std::uint64_t>(*from),
                        .length = static_cast<std::uint64_t>(*size),
                        .kind = ExtentKind::data};
    if (const auto problem = extent_problem(extent, previous_begin, previous_end, end)) {
      refuse(wanted, start, fmt::format("the area at {} of {} bytes {}", *from, *size, *problem));
    }
    previous_begin = extent.offset;
    previous_end = extent.end();
    answer.extents.push_back(extent);
  }
  return answer;
}

ExtentSourcePtr changed_areas(std::shared_ptr<VimClient> client, const AreasWanted& wanted,
                              Logger& log) {
  auto source = std::make_unique<ChangedAreas>(std::move(client), wanted, log);
  if (wanted.size > 0 && !source->ask()) {
    return nullptr;
  }
  return coalesce(
      align(validate(std::move(source), wanted.size, "the changed areas of " + wanted.object),
            k_sector, wanted.size));
}

std::string epoch_of(const std::string& change_id) {
  const std::size_t slash = change_id.rfind('/');
  if (slash == std::string::npos || slash + 1 == change_id.size() ||
      change_id.find_first_not_of("0123456789", slash + 1) != std::string::npos) {
    return {};
  }
  return change_id.substr(0, slash);
}

std::string why_not_comparable(const std::string& base, const std::string& now) {
  const std::string epoch = epoch_of(base);
  if (epoch.empty()) {
    return "the base " + base + " is no change id of vSphere";
  }
  if (epoch != epoch_of(now)) {
    return "change tracking was reset since the base";
  }
  const auto sequence = [&](const std::string& id) {
    std::uint64_t number = 0;
    std::from_chars(id.data() + epoch.size() + 1, id.data() + id.size(), number);
    return number;
  };
  if (sequence(base) > sequence(now)) {
    return "the base is newer than the snapshot: the vm was reverted";
  }
  return {};
}

}  // namespace hamal::vmware
