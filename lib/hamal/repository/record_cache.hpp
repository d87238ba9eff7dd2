// Which records a repository holds, and where: what keeps identical content from being stored
// twice. A local SQLite file, made anew from the layers of the repository when it is lost.
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "hamal/repository/layer.hpp"

namespace hamal::repository {

/// Thread-safe. Memory is bounded: what is new waits in a batch, then goes to the file.
class RecordCache {
 public:
  virtual ~RecordCache() = default;
  /// A record of that content that may be shared: in a pack for which `usable` said yes.
  virtual std::optional<RecordPlace> find(const RecordId& id, std::uint32_t plain) = 0;
  /// Of this run's own session.
  virtual void add(const RecordId& id, std::uint32_t plain, const RecordPlace& place) = 0;
  /// Takes in all entries of a layer that is not known here yet.
  virtual void learn(Layer& layer) = 0;
  virtual bool knows(const std::string& layer_key) = 0;
  /// Which packs may be shared from now on: those listed now and not condemned.
  virtual void set_usable(std::function<bool(const PackName&)> usable) = 0;
};

/// A damaged or foreign file is thrown away and begun anew.
std::unique_ptr<RecordCache> open_record_cache(const std::filesystem::path& file,
                                               const std::string& repository_id);

}  // namespace hamal::repository
