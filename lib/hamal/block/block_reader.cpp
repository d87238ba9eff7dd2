// What all readers share: the synchronous read, the loop of one queue, opening by kind.
#include "hamal/block/block_reader.hpp"

#include <algorithm>
#include <cerrno>

#include "hamal/block/awaited_io.hpp"
#include "hamal/block/endpoint.hpp"
#include "hamal/block/file_reader.hpp"
#include "hamal/block/nbd_reader.hpp"
#include "hamal/block/rbd_image.hpp"
#include "hamal/block/rbd_reader.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
void BlockReader::read(std::uint64_t offset, std::span<std::byte> into) {
  if (offset > size() || into.size() > size() - offset) {
    throw Error(ErrorKind::failed,
                "a read of " + std::to_string(into.size()) + " bytes at offset " +
                    std::to_string(offset) + " goes beyond the end of the disk (" +
                    std::to_string(size()) + " bytes)",
                uri());
  }
  const std::unique_ptr<ReadQueue> queue = open_queue();
  while (!into.empty()) {
    const std::size_t length = std::min<std::size_t>(into.size(), max_request());
    AwaitedIo done;
    queue->read(offset, into.first(length), done);
    done.wait(*queue);
    into = into.subspan(length);
    offset += length;
  }
}

void drive(IoQueue& queue, const bool& pending) {
  std::vector<pollfd> fds;
  while (pending) {
    fds.clear();
    queue.add_poll_fds(fds);
    if (!fds.empty() && ::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) {
      throw system_error("cannot poll", "", errno);
    }
    queue.progress();
    if (fds.empty() && pending) {
      throw std::logic_error("a queue has nothing to wait for and a request is pending");
    }
  }
}

std::unique_ptr<BlockReader> open_block_reader(const Endpoint& endpoint,
                                               const CancelToken* cancel) {
  switch (endpoint.kind) {
    case EndpointKind::file:
    case EndpointKind::device:
      return std::make_unique<FileReader>(endpoint.uri, endpoint.path);
    case EndpointKind::nbd:
      return std::make_unique<NbdReader>(endpoint.uri, std::vector<std::string>{}, cancel);
    case EndpointKind::rbd:
      return std::make_unique<RbdReader>(RbdImage::open(endpoint));
    case EndpointKind::directory:
    case EndpointKind::s3:
      throw repository_refused(endpoint);
    case EndpointKind::platform:
      break;
  }
  throw Error(ErrorKind::usage, "a platform's disk is read through a snapshot of it", endpoint.uri,
              "hamal-snapshot create, then hamal-cbt-read");
}

}  // namespace hamal
