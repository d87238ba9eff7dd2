#include "hamal/sync/own_proxy.hpp"

#include "hamal/util/error.hpp"
#include "hamal/util/text.hpp"

namespace hamal {

std::string other_proxy(const std::optional<Checkpoint>& checkpoint,
                        const std::optional<InProgress>& mark, const std::string& proxy) {
  // The mark is the newer one.
  for (const std::string& wrote :
       {mark ? mark->proxy : std::string(), checkpoint ? checkpoint->proxy : std::string()}) {
    if (!wrote.empty()) {
      return wrote == proxy ? std::string() : wrote;
    }
  }
  return {};
}

void require_taken_over(const std::string& other, const std::string& uri, TakeOver take_over) {
  if (take_over == TakeOver::no) {
    throw Error(ErrorKind::wrong_target,
                "the target was last written by another proxy, " + escape_control(other), uri,
                "once that one is off and writes no more: hamal-sync --take-over");
  }
}

std::string require_own_proxy(const std::optional<Checkpoint>& checkpoint,
                              const std::optional<InProgress>& mark, const std::string& proxy,
                              const std::string& uri, TakeOver take_over) {
  std::string other = other_proxy(checkpoint, mark, proxy);
  if (!other.empty()) {
    require_taken_over(other, uri, take_over);
  }
  return other;
}

}  // namespace hamal
