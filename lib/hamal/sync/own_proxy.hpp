// Whether a target that is written in place is another proxy's (design.md, 10): a lease fences what
// is committed, not the block writes that a paused host has queued.
#pragma once
#include <optional>
#include <string>

#include "hamal/state/state.hpp"

namespace hamal {

/// By yes the operator says that the proxy which wrote the target writes no more: it is switched
/// off, or its storage fences it.
enum class TakeOver { no, yes };

/// The proxy other than `proxy` that wrote a target last, by its checkpoint and the mark of a run;
/// empty: none is known.
std::string other_proxy(const std::optional<Checkpoint>& checkpoint,
                        const std::optional<InProgress>& mark, const std::string& proxy);

/// Throws Error(wrong_target) unless the operator says that the proxy `other` writes no more.
/// `uri` is the target as messages name it.
void require_taken_over(const std::string& other, const std::string& uri, TakeOver take_over);

/// The same of the proxy that wrote the target last, if it is not `proxy`. Returns it, or nothing.
std::string require_own_proxy(const std::optional<Checkpoint>& checkpoint,
                              const std::optional<InProgress>& mark, const std::string& proxy,
                              const std::string& uri, TakeOver take_over);

}  // namespace hamal
