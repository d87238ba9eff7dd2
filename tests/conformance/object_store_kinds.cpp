#include "object_store_kinds.hpp"

#include "hamal/block/endpoint.hpp"
#include "hamal/config/config.hpp"
#include "hamal/store/open_store.hpp"
#include "servers.hpp"

namespace hamal::testing {
namespace {

class DirectoryPlace final : public StorePlace {
 public:
  std::unique_ptr<ObjectStore> open(const CancelToken& cancel) override {
    return open_object_store(parse_endpoint("dir:" + m_scratch.file("store")), Config{}, cancel);
  }

 private:
  ScratchDirectory m_scratch;
};

}  // namespace

void PrintTo(const StoreKind& kind, std::ostream* out) {
  *out << kind.name;
}

std::vector<StoreKind> store_kinds() {
  return {
      {"directory",
       []() -> std::unique_ptr<StorePlace> { return std::make_unique<DirectoryPlace>(); },
       std::chrono::milliseconds(50)},
  };
}

}  // namespace hamal::testing
