// Refusing extents that cannot be true.
#include "hamal/extent/validate.hpp"

#include <fmt/core.h>

#include <utility>

#include "hamal/extent/cursor.hpp"
#include "hamal/extent/generated.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

class Validated final : public GeneratedSource {
 public:
  Validated(ExtentSourcePtr source, std::uint64_t disk_size, std::string name)
      : m_source(std::move(source)), m_disk_size(disk_size), m_name(std::move(name)) {}

 private:
  bool produce(Extent& extent) override {
    const Extent* next = m_source.peek();
    if (next == nullptr) {
      return false;
    }
    extent = *next;
    m_source.pop();
    ++m_number;
    const auto problem = extent_problem(extent, m_previous.offset, m_previous.end(), m_disk_size);
    if (problem) {
      throw Error(ErrorKind::failed,
                  fmt::format("extent {} ({}) {}", m_number, describe(extent), *problem), m_name,
                  "the reply cannot be trusted; nothing of it was used from there on");
    }
    m_previous = extent;
    return true;
  }

  ExtentCursor m_source;
  std::uint64_t m_disk_size;
  std::string m_name;
  std::uint64_t m_number = 0;
  Extent m_previous{};
};

}  // namespace

std::string describe(const Extent& extent) {
  return fmt::format("offset {}, length {}, {}", extent.offset, extent.length,
                     extent.kind == ExtentKind::data ? "data" : "zero");
}

std::optional<std::string> extent_problem(const Extent& extent, std::uint64_t previous_begin,
                                          std::uint64_t previous_end, std::uint64_t disk_size) {
  if (extent.length == 0) {
    return "is empty";
  }
  if (extent.offset >= disk_size || extent.length > disk_size - extent.offset) {
    return fmt::format("is not inside the disk, which has {} bytes", disk_size);
  }
  if (extent.offset < previous_begin) {
    return fmt::format("goes backwards: the one before it starts at {}", previous_begin);
  }
  if (extent.offset < previous_end) {
    return fmt::format("overlaps the one before it, which ends at {}", previous_end);
  }
  return std::nullopt;
}

ExtentSourcePtr validate(ExtentSourcePtr source, std::uint64_t disk_size, std::string name) {
  return std::make_unique<Validated>(std::move(source), disk_size, std::move(name));
}

}  // namespace hamal
