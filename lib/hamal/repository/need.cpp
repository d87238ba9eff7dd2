#include "hamal/repository/need.hpp"

#include <algorithm>
#include <utility>

#include "hamal/extent/cursor.hpp"

namespace hamal::repository {
namespace {

/// How many layers, from the oldest, two stacks have in common. What no other layer covers is
/// visible in both or hidden in both.
std::size_t shared_layers(const LayerStack& one, const LayerStack& other) {
  std::size_t count = 0;
  while (count < one.size() && count < other.size() &&
         one[one.size() - 1 - count]->reference() == other[other.size() - 1 - count]->reference()) {
    ++count;
  }
  return count;
}

}  // namespace

NeedWalk::NeedWalk(Repository& repository, std::shared_ptr<const Moves> moves, EachRecord each)
    : m_repository(repository), m_moves(std::move(moves)), m_each(std::move(each)) {}

void NeedWalk::add(const Manifest& version) {
  if (version.vm != m_vm) {
    m_stacks.clear();
    m_vm = version.vm;
  }
  for (const DiskVersion& disk : version.disks) {
    for (const LayerReference& layer : disk.layers) {
      m_need.objects.insert(layer.key);
    }
    LayerStack stack = m_repository.open_layers(disk);
    LayerStack& before = m_stacks[disk.id];
    walk(stack, before);
    before = std::move(stack);
  }
}

void NeedWalk::walk(const LayerStack& stack, const LayerStack& before) {
  const std::size_t shared = shared_layers(stack, before);
  const auto entries = visible_entries(stack);
  LayerEntry entry;
  if (shared == 0) {
    while (entries->next(entry)) {
      if (entry.extent.kind == ExtentKind::data) {
        take(entry.place);
      }
    }
    return;
  }
  // Where a layer of one of the two lies that the other does not have, another record may show.
  LayerStack own(stack.begin(), stack.end() - static_cast<std::ptrdiff_t>(shared));
  own.insert(own.end(), before.begin(), before.end() - static_cast<std::ptrdiff_t>(shared));
  if (own.empty()) {
    return;
  }
  ExtentCursor where(extents_of(visible_entries(own)));
  bool more = false;
  for (const Extent* range = where.peek(); range != nullptr; range = where.peek()) {
    entries->skip_to(range->offset);
    while (!more || entry.extent.end() <= range->offset) {
      more = entries->next(entry);
      if (!more) {
        return;
      }
    }
    if (entry.extent.offset >= range->end()) {
      where.pop();
      continue;
    }
    if (entry.extent.kind == ExtentKind::data) {
      take(entry.place);
    }
    where.trim_to(entry.extent.end());
  }
}

void NeedWalk::take(const RecordPlace& place) {
  if (!m_each && m_taken && place.pack == m_pack) {
    return;
  }
  if (!m_moves->has(place.pack)) {
    m_taken = true;
    m_pack = place.pack;
    m_need.packs.insert(place.pack);
    if (m_each) {
      m_each(place);
    }
    return;
  }
  std::set<std::uint64_t> used;
  const RecordPlace now = m_moves->current(place, &used);
  for (const std::uint64_t number : used) {
    m_need.objects.insert(compaction_key(number));
  }
  m_need.packs.insert(now.pack);
  if (m_each) {
    m_each(now);
  }
}

}  // namespace hamal::repository
