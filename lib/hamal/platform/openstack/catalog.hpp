// What Keystone says when it lets somebody in: which project, and where the services are.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace hamal::openstack {

enum class Service { compute, volume, image };

/// Its name in messages and in the header that asks for a microversion.
struct ServiceWords {
  const char* name;          ///< "Nova"
  const char* type;          ///< of the catalog, and of OpenStack-API-Version
  const char* microversion;  ///< the newest that is understood here; nullptr: it has none
};
const ServiceWords& words_of(Service service);

struct CatalogEndpoint {
  std::string type;  ///< "compute"
  std::string region;
  std::string interface;  ///< public, internal or admin
  std::string url;
};

struct Token {
  std::string project_id;
  std::string project;
  std::string user;
  std::vector<std::string> roles;
  std::vector<CatalogEndpoint> endpoints;
};

/// Of the body of Keystone's reply; `object` is for errors. Throws Error for what is none.
Token parse_token(std::string_view body, const std::string& object);

/// The address of a service, without "/" at its end. An empty region is the only one that has it.
/// Throws Error(usage) that says what there is instead.
std::string find_endpoint(const Token& token, Service service, const std::string& region,
                          const std::string& interface, const std::string& object);

}  // namespace hamal::openstack
