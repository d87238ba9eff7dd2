// hamal-repo init.
#include <nlohmann/json.hpp>

#include "common/output.hpp"
#include "hamal-repo/commands.hpp"
#include "hamal/block/endpoint.hpp"
#include "hamal/store/open_store.hpp"
#include "hamal/util/file.hpp"

namespace hamal {

int run_init(const RepoRequest& request, Session& session) {
  repository::InitOptions options;
  options.keys = session.config().repository;
  for (const std::string& file : request.key.public_keys) {
    options.recipients.push_back(read_file(file));
  }
  const auto store =
      open_object_store(parse_endpoint(request.repository), session.config(), session.cancel());
  const auto made = repository::init_repository(*store, options);
  const std::string what = made.encrypted ? "an encrypted repository" : "a repository";
  session.log().info("made {} in {}", what, store->uri());
  nlohmann::json report = {
      {"repository", made.id}, {"uri", store->uri()}, {"encrypted", made.encrypted}};
  std::string text = "made " + what + " in " + store->uri() + "\n";
  if (made.encrypted) {
    report["recipients"] = nlohmann::json::array();
    text += "repository  " + made.id + "\n";
    for (const auto& recipient : made.recipients) {
      report["recipients"].push_back(recipient.fingerprint);
      text += "recipient   " + recipient.fingerprint + "\n";
    }
  }
  write_stdout(session.options().format == ReportFormat::json ? report.dump() + "\n" : text,
               session.cancel());
  return 0;
}

}  // namespace hamal
