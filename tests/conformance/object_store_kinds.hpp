// The object stores that the suite runs against.
#pragma once
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "hamal/store/object_store.hpp"
#include "hamal/util/cancel.hpp"

namespace hamal::testing {

/// A place that holds nothing yet; gone with its object.
class StorePlace {
 public:
  virtual ~StorePlace() = default;
  /// Another handle on the same place, as another process would have.
  virtual std::unique_ptr<ObjectStore> open(const CancelToken& cancel) = 0;
};

struct StoreKind {
  std::string name;
  std::unique_ptr<StorePlace> (*make)();
  /// Time between the store's clock and what it says of an object.
  std::chrono::milliseconds clock_step{};
};

void PrintTo(const StoreKind& kind, std::ostream* out);

std::vector<StoreKind> store_kinds();

}  // namespace hamal::testing
