#include "hamal/platform/fusioncompute/vrm_error.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "hamal/util/text.hpp"

namespace hamal::fusioncompute {
namespace {

constexpr std::size_t k_most_words = 300;

struct Cure {
  std::string_view code;
  const char* meaning;
  const char* hint;
  Transience transience = Transience::permanent;
};

constexpr std::array k_cures{
    Cure{"10000002", "not logged in", "log in again: check user and secret"},
    Cure{"10000003", "no permission",
         "give the user the rights of hamal-fusioncompute(7), RIGHTS; check user, secret and "
         "auth_user_type"},
    Cure{"10000022", "the version of the interface is not served",
         "leave api_version out, or set one that GET /service/versions names"},
    Cure{"10300017", "the storage does not suit", "the datastore's kind has no such snapshots"},
    Cure{"10300018", "the storage does not suit", "the datastore's kind has no such snapshots"},
    Cure{"10300026", "Tools does not run in the vm", "start or install Tools in the guest"},
    Cure{"10300109", "the snapshot is not there", "somebody removed it: run again"},
    Cure{"10300110", "the snapshot is not in a state for that",
         "see it in the vm's snapshots; wait until it is ready", Transience::transient},
    Cure{"10300111", "the vm has as many snapshots as it may", "remove those that nobody needs"},
    Cure{"10300112", "a snapshot of the vm is being made or removed", "wait for its end",
         Transience::transient},
    Cure{"10300141", "the vm is a template", "templates cannot be replicated: leave it out"},
    Cure{"10300142", "the vm is a linked clone",
         "linked clones cannot be replicated: leave it out"},
    Cure{"10300162", "another task of the vm is in the way", "wait for its end",
         Transience::transient},
    Cure{"10300412", "the host has as many backup connections as it may",
         "lower max_socket_connections_per_host, or wait for other backups", Transience::transient},
    Cure{"10300413", "the host has as many backup connections as it may",
         "lower max_socket_connections_per_host, or wait for other backups", Transience::transient},
    Cure{"10300421", "another task or a backup resource of the vm is in the way",
         "wait for its end; a resource that nobody releases ends with its lease",
         Transience::transient},
    Cure{"10420004", "the volume is not there", "it was removed or moved: run again"},
    Cure{"10420108", "a disk of the vm is shared", "vms with shared disks get no such snapshot"},
    Cure{"10430031", "the snapshot is in use", "wait until what reads it has ended",
         Transience::transient},
    Cure{"10430041", "the snapshot of the volume is not there", "somebody removed it: run again"},
};

const Cure& cure_of(std::string_view code) {
  static constexpr Cure k_unknown{"", "", "see the task in FusionCompute's own pages"};
  const auto found = std::find_if(k_cures.begin(), k_cures.end(),
                                  [code](const Cure& cure) { return cure.code == code; });
  return found == k_cures.end() ? k_unknown : *found;
}

std::string sentence(const std::string& code, std::string_view words) {
  const Cure& cure = cure_of(code);
  const std::string said = escape_control(trim(words.substr(0, k_most_words)));
  std::string text = fmt::format("FusionCompute refuses it with {}", escape_control(code));
  if (*cure.meaning != '\0') {
    text += fmt::format(": {}", cure.meaning);
  }
  return said.empty() ? text : text + fmt::format(" (\"{}\")", said);
}

}  // namespace

VrmError::VrmError(std::string code, std::string_view words, const std::string& object)
    : Error(ErrorKind::failed, sentence(code, words), object, cure_of(code).hint,
            cure_of(code).transience),
      m_code(std::move(code)) {}

bool VrmError::is_conflict() const {
  return is(VrmCode::task_conflict) || is(VrmCode::resource_conflict) ||
         is(VrmCode::snapshot_running) || is(VrmCode::snapshot_bad_state);
}

bool VrmError::is_missing() const {
  return is(VrmCode::snapshot_missing) || is(VrmCode::snap_uuid_missing);
}

}  // namespace hamal::fusioncompute
