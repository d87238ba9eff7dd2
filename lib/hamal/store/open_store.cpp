#include "hamal/store/open_store.hpp"

#include "hamal/block/endpoint.hpp"
#include "hamal/config/config.hpp"
#include "hamal/store/directory_store.hpp"
#include "hamal/store/s3_store.hpp"

namespace hamal {

std::unique_ptr<ObjectStore> open_object_store(const Endpoint& endpoint, const Config& config,
                                               const CancelToken& cancel) {
  switch (endpoint.kind) {
    case EndpointKind::directory:
      return open_directory_store(endpoint.uri, endpoint.path, cancel);
    case EndpointKind::s3:
      return open_s3_store(read_s3_options(endpoint, config), cancel);
    case EndpointKind::file:
    case EndpointKind::device:
    case EndpointKind::nbd:
    case EndpointKind::platform:
    case EndpointKind::rbd:
      break;
  }
  throw Error(ErrorKind::usage, "not an object store", endpoint.uri,
              "a store is dir:PATH or s3://NAME/PREFIX");
}

}  // namespace hamal
