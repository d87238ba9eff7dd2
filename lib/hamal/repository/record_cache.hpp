// Which records a repository holds, and where: what keeps identical content from being stored
// twice. A local SQLite file, made anew from the layers of the repository when it is lost.
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "hamal/report/log.hpp"
#include "hamal/repository/layer.hpp"

namespace hamal::repository {

/// Thread-safe. Memory is bounded: what is new waits in a batch, then goes to the file. Nothing
/// that happens to the file fails a run: it is logged, and content is stored again.
class RecordCache {
 public:
  virtual ~RecordCache() = default;
  /// A record of that content that may be shared: in a pack for which `usable` said yes, or one
  /// that was added here.
  virtual std::optional<RecordPlace> find(const RecordId& id, std::uint32_t plain) = 0;
  /// Of this run's own session. The pack is durable, and its name is never given to another one:
  /// later runs believe what is here.
  virtual void add(const RecordId& id, std::uint32_t plain, const RecordPlace& place) = 0;
  /// Takes in all entries of a layer that is not known here yet.
  virtual void learn(Layer& layer) = 0;
  virtual bool knows(const std::string& layer_key) = 0;
  /// Which packs may be shared from now on: those listed now and not condemned. Nothing is usable
  /// before the first call. Called again from several threads at once.
  virtual void set_usable(std::function<bool(const PackName&)> usable) = 0;
};

/// Several processes may have one file open. A damaged or foreign one, one of another repository or
/// of a newer version is thrown away and begun anew. The log outlives the cache.
std::unique_ptr<RecordCache> open_record_cache(const std::filesystem::path& file,
                                               const std::string& repository_id, Logger& log);

}  // namespace hamal::repository
