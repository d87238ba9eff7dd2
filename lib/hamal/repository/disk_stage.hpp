// One disk of a session while it is written (write_session.hpp, DiskStage).
#pragma once
#include <memory>
#include <optional>

#include "hamal/repository/pack_writer.hpp"
#include "hamal/repository/patience.hpp"
#include "hamal/repository/write_session.hpp"

namespace hamal::repository {

struct StageContext {
  Repository& repository;
  PackWriter& packs;
  Patience patience;
  SessionId session{};
  std::filesystem::path directory;  ///< of the session on this host
  unsigned compression = 1;         ///< level of zstd, 0: none
};

/// `base`: of an incremental. What the context names outlives the stage.
std::unique_ptr<DiskStage> make_disk_stage(const StageContext& context, const StageRequest& request,
                                           const std::optional<DiskVersion>& base);

std::filesystem::path journal_path(const std::filesystem::path& session, std::uint64_t disk_index);

}  // namespace hamal::repository
