#include "hamal/platform/openstack/catalog.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "hamal/platform/openstack/json_fields.hpp"

namespace hamal::openstack {
namespace {

/// Cinder has been called several things; the first one that the catalog has counts.
std::vector<std::string> types_of(Service service) {
  if (service == Service::volume) {
    return {"volumev3", "block-storage", "block-store"};
  }
  return {words_of(service).type};
}

std::string joined(const std::set<std::string>& words) {
  return words.empty() ? "none" : fmt::format("{}", fmt::join(words, ", "));
}

}  // namespace

const ServiceWords& words_of(Service service) {
  static constexpr ServiceWords k_nova{"Nova", "compute", "2.60"};
  static constexpr ServiceWords k_cinder{"Cinder", "volume", "3.59"};
  static constexpr ServiceWords k_glance{"Glance", "image", nullptr};
  return service == Service::compute ? k_nova : service == Service::volume ? k_cinder : k_glance;
}

Token parse_token(std::string_view body, const std::string& object) {
  const Place place{object};
  const Json json = parse_strict(body, place);
  const Json& token = require_object(json, "token", place);
  Token result;
  if (const Json* const project = member(token, "project", place)) {
    result.project_id = require_text(*project, "id", place);
    result.project = text_of(*project, "name", place);
  }
  if (const Json* const user = member(token, "user", place)) {
    result.user = text_of(*user, "name", place);
  }
  for (const Json& role : list_of(token, "roles", place)) {
    result.roles.push_back(text_of(role, "name", place));
  }
  for (const Json& service : list_of(token, "catalog", place)) {
    const std::string type = text_of(service, "type", place);
    for (const Json& endpoint : list_of(service, "endpoints", place)) {
      std::string region = text_of(endpoint, "region_id", place);
      if (region.empty()) {
        region = text_of(endpoint, "region", place);
      }
      result.endpoints.push_back({.type = type,
                                  .region = std::move(region),
                                  .interface = text_of(endpoint, "interface", place),
                                  .url = text_of(endpoint, "url", place)});
    }
  }
  return result;
}

std::string find_endpoint(const Token& token, Service service, const std::string& region,
                          const std::string& interface, const std::string& object) {
  const char* const name = words_of(service).name;
  std::set<std::string> all;
  std::set<std::string> regions;
  for (const CatalogEndpoint& one : token.endpoints) {
    all.insert(one.type);
  }
  for (const std::string& type : types_of(service)) {
    if (!all.contains(type)) {
      continue;
    }
    std::set<std::string> interfaces;
    std::vector<const CatalogEndpoint*> found;
    for (const CatalogEndpoint& one : token.endpoints) {
      if (one.type != type) {
        continue;
      }
      regions.insert(one.region);
      if (!region.empty() && one.region != region) {
        continue;
      }
      interfaces.insert(one.interface);
      if (one.interface == interface) {
        found.push_back(&one);
      }
    }
    if (region.empty() && regions.size() > 1) {
      throw Error(ErrorKind::usage, fmt::format("{} is in several regions", name), object,
                  "set region to one of " + joined(regions));
    }
    if (!region.empty() && !regions.contains(region)) {
      throw Error(ErrorKind::usage, fmt::format("{} is not in the region {}", name, region), object,
                  "the catalog has it in " + joined(regions));
    }
    if (found.empty()) {
      throw Error(ErrorKind::usage, fmt::format("{} has no {} endpoint", name, interface), object,
                  "set interface to one of " + joined(interfaces));
    }
    std::string url = found.front()->url;
    while (url.ends_with('/')) {
      url.pop_back();
    }
    if (!url.starts_with("http://") && !url.starts_with("https://")) {
      throw Error(ErrorKind::failed,
                  fmt::format("the catalog's address of {} is none: {}", name, in_quotes(url)),
                  object);
    }
    return url;
  }
  throw Error(ErrorKind::usage,
              fmt::format("the catalog has no {} (a service of type {})", name,
                          fmt::join(types_of(service), ", ")),
              object,
              token.project_id.empty()
                  ? "the login is not to a project: set project"
                  : fmt::format("the project {} sees the services {}", token.project, joined(all)));
}

}  // namespace hamal::openstack
