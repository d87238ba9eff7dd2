// The server's log of what happened to a vm: nothing else tells that it was reverted to a snapshot.
#pragma once
#include <string>

#include "hamal/platform/vmware/change_id.hpp"
#include "hamal/report/log.hpp"

namespace hamal::vmware {

/// The newest event of the vm now. Key 0 when there is none or it may not be read, which is logged.
EventMark newest_event(VimClient& client, const Machine& machine, Logger& log);

enum class Reverted { no, yes, unknown };

struct RevertAnswer {
  Reverted reverted = Reverted::unknown;
  std::string words;  ///< for people: when, or why that is not known
};

/// Whether an event after the mark tells of a revert. Unknown: without a mark, when the log does
/// not reach back to it any more, or may not be read. Throws Error for what is no answer, as a lost
/// connection.
RevertAnswer reverted_since(VimClient& client, const Machine& machine, const EventMark& mark);

/// Whether that is an event of a revert: by its type (EventEx) or its task.
bool tells_of_revert(const XmlElement& event);

}  // namespace hamal::vmware
