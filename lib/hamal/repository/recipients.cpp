#include "hamal/repository/recipients.hpp"

#include <algorithm>
#include <atomic>
#include <set>

#include "hamal/repository/hash.hpp"
#include "hamal/repository/keyring_sealed.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/parallel.hpp"

namespace hamal::repository {
namespace {

constexpr std::uint64_t k_max_key_object = 1U << 20;
// Requests for small objects wait for the store, not for a processor.
constexpr unsigned k_threads = 8;
constexpr std::size_t k_shortest_name = 8;

Recipient make_recipient(const std::string& pem, const SecretKey& index_key,
                         const std::string& repository_id) {
  const PublicKey key = PublicKey::parse(pem, "the recipient's public key");
  return {key.fingerprint(), key.pem(), key.wrap(index_key, index_key_purpose(repository_id))};
}

bool is_for(const DataKey& key, const std::vector<Recipient>& recipients) {
  std::set<std::string> have;
  std::set<std::string> want;
  for (const WrappedKey& wrapped : key.wrapped) {
    have.insert(wrapped.recipient);
  }
  for (const Recipient& recipient : recipients) {
    want.insert(recipient.fingerprint);
  }
  return have == want;
}

std::vector<KeyId> list_data_keys(ObjectStore& store) {
  std::vector<KeyId> keys;
  store.list("keys/", [&](const ObjectInfo& key) {
    if (const auto id = parse_session_id(std::string_view(key.key).substr(5))) {
      keys.push_back(*id);
    }
  });
  return keys;
}

DataKey get_data_key(ObjectStore& store, const KeyId& id, const Keyring& keyring) {
  return parse_data_key(store.get(data_key_key(id), k_max_key_object), id, keyring);
}

/// How many are not wrapped to exactly those.
std::uint64_t count_outdated(ObjectStore& store, const std::vector<KeyId>& keys,
                             const std::vector<Recipient>& recipients, const Keyring& keyring) {
  std::atomic<std::uint64_t> count = 0;
  for_each_parallel(keys.size(), k_threads, [&](std::size_t i) {
    count += is_for(get_data_key(store, keys[i], keyring), recipients) ? 0U : 1U;
  });
  return count;
}

}  // namespace

RecipientList list_recipients(ObjectStore& store, const RepositorySection& config) {
  const std::string text = read_description(store);
  const std::string object = store.uri() + "/" + k_description_key;
  RecipientList list;
  list.description = parse_description(text, object);
  std::unique_ptr<Keyring> keyring;
  try {
    keyring = make_keyring(list.description, config);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::usage || !list.description.encrypted) {
      throw;
    }
    list.unchecked = error.what();
    return list;
  }
  check_description(text, *keyring, object);
  const std::vector<KeyId> keys = list_data_keys(store);
  list.data_keys = keys.size();
  list.outdated = count_outdated(store, keys, list.description.recipients, *keyring);
  return list;
}

Description describe_encrypted(const std::string& id, const std::vector<std::string>& public_keys,
                               const RepositorySection& config) {
  if (public_keys.empty()) {
    throw Error(ErrorKind::usage, "an encrypted repository needs a recipient");
  }
  constexpr const char* k_what = "[repository] index_key";
  if (config.index_key.kind == SecretReference::Kind::none) {
    throw Error(ErrorKind::usage, "an encrypted repository needs an index key", k_what,
                "hamal-repo key generate --index-key FILE makes one: set it to file:FILE");
  }
  const SecretKey index_key = parse_index_key(resolve_secret(config.index_key, k_what), k_what);
  Description description;
  description.id = id;
  description.encrypted = true;
  description.index_key_check = index_key_check(index_key, id);
  for (const std::string& pem : public_keys) {
    Recipient recipient = make_recipient(pem, index_key, id);
    const auto& all = description.recipients;
    if (std::any_of(all.begin(), all.end(), [&](const Recipient& other) {
          return other.fingerprint == recipient.fingerprint;
        })) {
      throw Error(ErrorKind::usage, "a recipient is there twice", recipient.fingerprint);
    }
    description.recipients.push_back(std::move(recipient));
  }
  return description;
}

struct RecipientChange::State {
  State(ObjectStore& its_store, const RepositorySection& config)
      : store(its_store), object(store.uri() + "/" + k_description_key) {
    const std::string text = read_description(store);
    description = parse_description(text, object);
    if (!description.encrypted) {
      throw Error(ErrorKind::usage, "is not encrypted, and has no recipients", store.uri(),
                  "a repository is encrypted from its beginning: hamal-repo init --recipient");
    }
    Secrets secrets = find_secrets(description, config);
    if (!secrets.private_key) {
      throw Error(ErrorKind::usage, "only who can read can say who else can",
                  "[repository] private_key", "name the private key of a recipient there");
    }
    index_key = secrets.index_key;
    // Before the change: it has to be known who could read until now.
    private_key = std::move(secrets.private_key);
    keyring = make_sealed_keyring(description, {index_key, std::nullopt});
    check_description(text, *keyring, object);
  }

  std::uint64_t apply(const Description& now) {
    if (changed) {
      store.put(k_description_key, bytes_of(to_text(now, *keyring)));
    }
    const std::vector<KeyId> keys = list_data_keys(store);
    std::atomic<std::uint64_t> count = 0;
    for_each_parallel(keys.size(), k_threads,
                      [&](std::size_t i) { count += rewrap(keys[i], now.recipients) ? 1U : 0U; });
    return count;
  }

  /// False when the key is wrapped to exactly those.
  bool rewrap(const KeyId& id, const std::vector<Recipient>& recipients) {
    DataKey data = get_data_key(store, id, *keyring);
    if (is_for(data, recipients)) {
      return false;
    }
    const SecretKey plain = unwrap_data_key(data, *private_key);
    data.wrapped.clear();
    for (const Recipient& recipient : recipients) {
      data.wrapped.push_back(
          {recipient.fingerprint,
           PublicKey::parse(recipient.public_key, object).wrap(plain, data_key_purpose(id))});
    }
    store.put(data_key_key(id), bytes_of(to_text(data, *keyring)));
    return true;
  }

  ObjectStore& store;
  std::string object;
  Description description;
  SecretKey index_key;
  std::optional<PrivateKey> private_key;
  std::unique_ptr<Keyring> keyring;
  std::vector<Recipient> removed;
  bool changed = false;
};

RecipientChange::RecipientChange(ObjectStore& store, const RepositorySection& config)
    : m_state(std::make_unique<State>(store, config)) {}
RecipientChange::~RecipientChange() = default;

const Description& RecipientChange::description() const noexcept {
  return m_state->description;
}

std::string RecipientChange::add(const std::string& public_key) {
  Recipient recipient = make_recipient(public_key, m_state->index_key, m_state->description.id);
  auto& all = m_state->description.recipients;
  std::string fingerprint = recipient.fingerprint;
  if (std::none_of(all.begin(), all.end(),
                   [&](const Recipient& other) { return other.fingerprint == fingerprint; })) {
    all.push_back(std::move(recipient));
    m_state->changed = true;
  }
  return fingerprint;
}

std::string RecipientChange::find(const std::string& name) const {
  if (name.size() < k_shortest_name) {
    throw Error(ErrorKind::usage, "is too short to name a recipient", name,
                "give its first 8 digits, or more");
  }
  const auto& all = m_state->description.recipients;
  const auto is_meant = [&](const Recipient& recipient) {
    return recipient.fingerprint.starts_with(name);
  };
  const auto found = std::find_if(all.begin(), all.end(), is_meant);
  if (found == all.end()) {
    throw Error(ErrorKind::usage, "is no recipient of this repository", name,
                "hamal-repo key show names the recipients");
  }
  if (std::count_if(all.begin(), all.end(), is_meant) > 1) {
    throw Error(ErrorKind::usage, "means several recipients", name, "give more of its digits");
  }
  return found->fingerprint;
}

std::uint64_t RecipientChange::outdated() const {
  return count_outdated(m_state->store, list_data_keys(m_state->store),
                        m_state->description.recipients, *m_state->keyring);
}

void RecipientChange::remove(const std::string& fingerprint) {
  auto& all = m_state->description.recipients;
  const auto found = std::find_if(all.begin(), all.end(), [&](const Recipient& recipient) {
    return recipient.fingerprint == fingerprint;
  });
  if (found == all.end()) {
    throw Error(ErrorKind::usage, "is no recipient of this repository", fingerprint,
                "hamal-repo key show names the recipients");
  }
  if (all.size() == 1) {
    throw Error(ErrorKind::usage, "is the only recipient: nobody could read any more", fingerprint,
                "add another one first");
  }
  m_state->removed.push_back(*found);
  all.erase(found);
  m_state->changed = true;
}

std::uint64_t RecipientChange::apply() {
  State& state = *m_state;
  if (state.removed.empty()) {
    return state.apply(state.description);
  }
  // Those who go are the last to go: whoever is stopped in between finds at least one recipient
  // that every key is wrapped to.
  Description all = state.description;
  all.recipients.insert(all.recipients.end(), state.removed.begin(), state.removed.end());
  state.apply(all);
  state.removed.clear();
  return state.apply(state.description);
}

}  // namespace hamal::repository
