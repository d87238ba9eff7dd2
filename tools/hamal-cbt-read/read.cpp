#include "hamal-cbt-read/read.hpp"

#include "common/input.hpp"
#include "common/repository_access.hpp"
#include "hamal/state/checkpoint_json.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

// A repository holds all disks: its endpoint is no pattern.
bool is_repository_pattern(const std::string& target) {
  return (target.starts_with("dir:") || target.starts_with("s3:")) &&
         is_repository(parse_endpoint(target));
}

BaseChooser make_chooser(const ReadRequest& request, Session& session,
                         std::unique_ptr<OpenedRepository>& repository) {
  switch (request.base) {
    case BaseFrom::target:
      if (is_repository_pattern(request.target)) {
        repository = std::make_unique<OpenedRepository>(parse_endpoint(request.target), session);
        return base_of_repository(repository->repository(), repository->uri());
      }
      return base_of_target(
          session.state(), request.target,
          request.form == ReadForm::extents ? Interrupted::mended : Interrupted::not_mended,
          [&session](const std::string& uri) { return session.parse_endpoint(uri); });
    case BaseFrom::since:
      return base_of_change_ids(request.since);
    case BaseFrom::full:
      return full_base("--full was asked for");
    case BaseFrom::checkpoint:
      break;
  }
  std::vector<Checkpoint> checkpoints;
  for (const std::string& file : request.checkpoints) {
    checkpoints.push_back(parse_checkpoint(read_operand(file, session.cancel()), file));
  }
  return base_of_checkpoints(std::move(checkpoints));
}

}  // namespace

int run_read(const ReadRequest& request, Session& session) {
  if (request.form != ReadForm::extents && stdout_is_terminal()) {
    throw Error(ErrorKind::usage, "will not write disk contents to a terminal", "standard output",
                "redirect it to a file or a pipe");
  }
  std::unique_ptr<OpenedRepository> repository;  // outlives the chooser
  const BaseChooser choose = make_chooser(request, session, repository);
  ReadSource source = open_source(request, session);
  switch (request.form) {
    case ReadForm::extents:
      print_extents(source, choose, session);
      break;
    case ReadForm::data:
      print_data(source, choose, session);
      break;
    case ReadForm::raw:
      print_raw(source, session);
      break;
  }
  return 0;
}

}  // namespace hamal
