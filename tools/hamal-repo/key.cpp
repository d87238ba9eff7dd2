// hamal-repo key: who can read an encrypted repository.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "common/output.hpp"
#include "common/table.hpp"
#include "hamal-repo/commands.hpp"
#include "hamal/block/endpoint.hpp"
#include "hamal/repository/new_keys.hpp"
#include "hamal/repository/recipients.hpp"
#include "hamal/store/open_store.hpp"
#include "hamal/util/file.hpp"

namespace hamal {
namespace {

using nlohmann::json;
using repository::Recipient;
using repository::RecipientChange;

void print(const json& report, const std::string& text, Session& session) {
  const bool as_json = session.options().format == ReportFormat::json;
  write_stdout(as_json ? report.dump() + "\n" : text, session.cancel());
}

json names_of(const std::vector<Recipient>& recipients) {
  json names = json::array();
  for (const Recipient& recipient : recipients) {
    names.push_back(recipient.fingerprint);
  }
  return names;
}

/// With the private key that the command line names, or else the configuration.
RepositorySection secrets_of(const KeyRequest& request, const Session& session) {
  RepositorySection secrets = session.config().repository;
  if (request.private_key.kind != SecretReference::Kind::none) {
    secrets.private_key = request.private_key;
  }
  return secrets;
}

int generate(const KeyRequest& request, Session& session) {
  if (request.index_key) {
    repository::write_index_key(request.file);
    print({{"index_key", request.file}}, "index key    " + request.file + "\n", session);
    return 0;
  }
  const std::string public_file = request.file + ".pub";
  const std::string name = repository::write_key_pair(request.file, public_file);
  print({{"private_key", request.file}, {"public_key", public_file}, {"recipient", name}},
        fmt::format("private key  {}\npublic key   {}\nrecipient    {}\n", request.file,
                    public_file, name),
        session);
  return 0;
}

int show(const RepoRequest& request, Session& session) {
  const auto store =
      open_object_store(parse_endpoint(request.repository), session.config(), session.cancel());
  const auto list = repository::list_recipients(*store, secrets_of(request.key, session));
  const auto& description = list.description;
  const bool checked = list.unchecked.empty();
  json report = {{"repository", description.id},
                 {"encrypted", description.encrypted},
                 {"authentic", checked},
                 {"recipients", names_of(description.recipients)}};
  if (checked) {
    report["data_keys"] = list.data_keys;
    report["outdated_data_keys"] = list.outdated;
  }
  std::string text = "repository  " + description.id + "\n";
  if (!description.encrypted) {
    text += "is not encrypted\n";
  }
  for (const Recipient& recipient : description.recipients) {
    text += "recipient   " + recipient.fingerprint + "\n";
  }
  if (!checked) {
    text += "Nothing of that was checked: " + list.unchecked + "\n";
  } else if (description.encrypted) {
    text += fmt::format("{} data keys\n", list.data_keys);
  }
  if (list.outdated > 0) {
    text += fmt::format(
        "{} of them are not wrapped to exactly these recipients: run hamal-repo "
        "key rewrap {}\n",
        list.outdated, request.repository);
  }
  print(report, text, session);
  return 0;
}

/// What the command asks for, not applied yet. Returns who goes.
std::vector<std::string> prepare(const KeyRequest& request, RecipientChange& change) {
  for (const std::string& file : request.public_keys) {
    change.add(read_file(file));
  }
  std::vector<std::string> removed;
  for (const std::string& name : request.recipients) {
    removed.push_back(change.find(name));
    change.remove(removed.back());
  }
  return removed;
}

int change(const RepoRequest& request, Session& session) {
  const auto store =
      open_object_store(parse_endpoint(request.repository), session.config(), session.cancel());
  RecipientChange change(*store, secrets_of(request.key, session));
  const std::vector<std::string> removed = prepare(request.key, change);
  // What cannot be taken back is only said at first.
  const bool done = removed.empty() || request.yes;
  const std::uint64_t wrapped = done ? change.apply() : change.outdated();
  const auto& recipients = change.description().recipients;
  if (done) {
    session.log().info("{} has {} recipients now, {} were removed; {} data keys wrapped anew",
                       store->uri(), recipients.size(), removed.size(), wrapped);
  }
  std::string text;
  for (const std::string& name : removed) {
    text += fmt::format("{} {}\n", done ? "removed  " : "would go ", name);
  }
  for (const Recipient& recipient : recipients) {
    text += "recipient " + recipient.fingerprint + "\n";
  }
  text += fmt::format("{} data keys {}wrapped anew\n", wrapped, done ? "" : "would be ");
  text += done ? "Runs that were under way still wrap to the recipients of before: run hamal-repo "
                 "key rewrap when they have ended.\n"
               : "Nothing was changed: --yes does it.\n";
  print({{"recipients", names_of(recipients)},
         {"removed", removed},
         {"wrapped_data_keys", wrapped},
         {"done", done}},
        text, session);
  return 0;
}

}  // namespace

int run_key(const RepoRequest& request, Session& session) {
  switch (request.key.action) {
    case KeyAction::generate:
      return generate(request.key, session);
    case KeyAction::show:
      return show(request, session);
    case KeyAction::change:
      return change(request, session);
  }
  return 1;
}

}  // namespace hamal
