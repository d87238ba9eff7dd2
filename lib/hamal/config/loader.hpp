// Builds one Config from several files.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "hamal/config/config.hpp"
#include "hamal/config/ini_text.hpp"
#include "hamal/config/keys.hpp"

namespace hamal {

/// Add the files in order, a later one wins key by key; then finish. Throws Error(usage) that names
/// file, line, section and key.
class ConfigLoader {
 public:
  /// `mode` of the file, when it is one: secrets in files that others may read are warned about.
  void add(const std::string& text, const std::string& name, std::optional<unsigned> mode);
  Config finish();

 private:
  using KeyOfSection = std::pair<std::string, std::string>;

  void open_section(const std::string& file, const IniSection& section);
  void open_named(const ConfigOrigin& origin, const std::string& section);
  void add_entry(const std::string& file, const IniEntry& entry);
  void warn_unknown_key(const ConfigOrigin& origin, const IniEntry& entry);
  void note_duplicate(const ConfigOrigin& origin, const IniEntry& entry);
  void check_named(const std::string& kind, const NamedSection& section);
  void check_address(const NamedSection& section);
  void check_secret(const std::string& label, const SecretReference& secret,
                    const ConfigOrigin& origin);
  void limit_start(const char* key, unsigned& start, unsigned ceiling);
  NamedSection* find_named(const std::string& section);
  std::map<std::string, NamedSection>* sections_of(const std::string& kind);
  void warn(const ConfigOrigin& origin, const std::string& what);

  Config m_config;
  std::map<KeyOfSection, ConfigOrigin> m_seen;
  std::map<std::string, unsigned> m_modes;  ///< by file
};

}  // namespace hamal
