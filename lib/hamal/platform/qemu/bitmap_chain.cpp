// Walks the links from bitmap to bitmap.
#include "hamal/platform/qemu/bitmap_chain.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "hamal/platform/qemu/names.hpp"

namespace hamal::qemu {
namespace {

struct Link {
  const BitmapState* state;
  BitmapName name;
};

std::vector<Link> links_of(const std::vector<BitmapState>& bitmaps, const std::string& mark) {
  std::vector<Link> links;
  for (const BitmapState& state : bitmaps) {
    if (auto name = parse_bitmap_name(state.name); name && name->snapshot.mark == mark) {
      links.push_back({&state, std::move(*name)});
    }
  }
  return links;
}

const Link* find_link(const std::vector<Link>& links, const BitmapName& newer) {
  const auto found = std::find_if(links.begin(), links.end(), [&](const Link& link) {
    return link.name.snapshot.random == newer.previous &&
           link.name.snapshot.sequence < newer.snapshot.sequence;
  });
  return found == links.end() ? nullptr : &*found;
}

std::string flaw(const BitmapState& bitmap) {
  if (bitmap.inconsistent) {
    return fmt::format("the bitmap {} is inconsistent: QEMU was killed", bitmap.name);
  }
  if (bitmap.busy) {
    return fmt::format("the bitmap {} is in use by another operation", bitmap.name);
  }
  return {};
}

std::string missing(const std::string& name, const LostBitmaps& lost) {
  const auto found = lost.find(name);
  return found != lost.end() ? found->second
                             : fmt::format(
                                   "the bitmap {} is missing: QEMU was killed before it could save "
                                   "it, somebody removed it, or this is another image",
                                   name);
}

BitmapChain broken(std::string reason) {
  return {{}, 0, std::move(reason)};
}

}  // namespace

BitmapChain find_chain(const std::vector<BitmapState>& bitmaps, const std::string& base,
                       const std::string& own, const LostBitmaps& lost) {
  const auto base_name = parse_bitmap_name(base);
  const auto own_name = parse_bitmap_name(own);
  if (!own_name) {
    return broken("the changes up to this snapshot were not tracked");
  }
  if (!base_name || base_name->snapshot.mark != own_name->snapshot.mark) {
    return broken(fmt::format("the base {} was not made by this installation", base));
  }
  const std::vector<Link> links = links_of(bitmaps, own_name->snapshot.mark);
  if (std::none_of(links.begin(), links.end(),
                   [&](const Link& link) { return link.name == *base_name; })) {
    return broken(missing(base, lost));
  }
  if (own_name->snapshot.sequence <= base_name->snapshot.sequence) {
    return broken(fmt::format("the base {} is not older than the snapshot", base));
  }
  BitmapChain chain;
  BitmapName current = *own_name;
  while (current != *base_name) {
    const Link* previous = find_link(links, current);
    if (previous == nullptr) {
      return broken(fmt::format("the chain of bitmaps from {} was broken before {}", base,
                                to_string(current.snapshot)));
    }
    if (std::string problem = flaw(*previous->state); !problem.empty()) {
      return broken(std::move(problem));
    }
    chain.bitmaps.push_back(previous->state->name);
    const std::uint64_t granularity = previous->state->granularity;
    chain.granularity =
        chain.granularity == 0 ? granularity : std::min(chain.granularity, granularity);
    current = previous->name;
  }
  return chain;
}

std::string previous_of_next(const std::vector<BitmapState>& bitmaps, const std::string& mark) {
  const Link* newest = nullptr;
  const std::vector<Link> links = links_of(bitmaps, mark);
  for (const Link& link : links) {
    const BitmapState& state = *link.state;
    if (state.recording && !state.inconsistent &&
        (newest == nullptr || link.name.snapshot.sequence > newest->name.snapshot.sequence)) {
      newest = &link;
    }
  }
  return newest == nullptr ? k_no_previous : newest->name.snapshot.random;
}

}  // namespace hamal::qemu
