// The base of sources that make one extent at a time: it fills their windows.
#pragma once
#include <vector>

#include "hamal/extent/extent.hpp"

namespace hamal {

class GeneratedSource : public ExtentSource {
 public:
  bool next(std::vector<Extent>& window) final {
    window.clear();
    Extent extent;
    while (window.size() < k_window_extents && produce(extent)) {
      window.push_back(extent);
    }
    return !window.empty();
  }

 private:
  /// The next extent, or false at the end; may be called again after the end.
  virtual bool produce(Extent& extent) = 0;
};

}  // namespace hamal
