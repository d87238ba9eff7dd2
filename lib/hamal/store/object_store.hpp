// Where named, immutable byte strings are kept: a directory, or a bucket of an S3 service.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "hamal/util/error.hpp"

namespace hamal {

/// The object that was asked for is not there. Permanent.
class ObjectMissing : public Error {
 public:
  /// `object` is the URI of the store and the key.
  explicit ObjectMissing(const std::string& object);
};

/// A moment of the store's clock.
using StoreTime = std::chrono::system_clock::time_point;

struct ObjectInfo {
  std::string key;
  std::uint64_t size = 0;  ///< bytes
  StoreTime modified{};    ///< by the store's clock; S3 tells whole seconds
};

/// An object that is put in parts, for those too large to be in memory at once. It appears when
/// finish() returns, or never. Destroyed before that, what was sent is taken back as far as the
/// store can be reached.
class ObjectUpload {
 public:
  virtual ~ObjectUpload() = default;
  /// Appends. Any size; the implementation makes parts of it.
  virtual void append(std::span<const std::byte> bytes) = 0;
  /// On return the object is whole and durable. Creates or replaces.
  virtual void finish() = 0;
};

/// Keys are relative to the store's prefix: parts of [A-Za-z0-9._=-] (255 at most), none "." or
/// "..", joined by "/", 700 characters at most; a first part that begins with ".hamal-" is the
/// store's own. A key is never a prefix part of another ("a" and "a/b").
///
/// Every call is whole or not at all, durable on return, and thread-safe. Calls block; whoever
/// wants several under way uses several threads (the implementation bounds how many requests run
/// at once). What a store cannot do for the moment (503, a cut connection, a timeout) is repeated
/// inside with growing pauses up to a bound, then thrown as a transient Error; refusals
/// (permissions, no such bucket) are permanent and name the cure. Calls end with the cancel
/// token's Error soon after it was requested.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;
  /// As the operator wrote it, without secrets: "dir:/backups", "s3://NAME/PREFIX".
  virtual const std::string& uri() const noexcept = 0;
  /// Identity, the same whatever the URI: "dir:REALPATH", "s3:ENDPOINT/BUCKET/PREFIX".
  virtual const std::string& canonical() const noexcept = 0;

  /// Creates or replaces.
  virtual void put(const std::string& key, std::span<const std::byte> bytes) = 0;
  /// Creates, or returns false when the key is taken (then nothing has changed). A reply that was
  /// lost may make a call that created say false: whoever cares reads the object and compares.
  virtual bool put_if_absent(const std::string& key, std::span<const std::byte> bytes) = 0;
  virtual std::unique_ptr<ObjectUpload> upload(const std::string& key) = 0;

  /// The whole object. Throws ObjectMissing; Error when it is larger than `limit` bytes.
  virtual std::string get(const std::string& key, std::uint64_t limit) = 0;
  /// Exactly [offset, offset + into.size()) of it. Throws ObjectMissing; a permanent Error when the
  /// object ends before that. Where a delete marker hides an object that has versions, this reads
  /// the newest of them; all other calls take it for missing.
  virtual void get_range(const std::string& key, std::uint64_t offset,
                         std::span<std::byte> into) = 0;
  virtual std::optional<ObjectInfo> head(const std::string& key) = 0;
  /// Every object whose key starts with `prefix` ("" or up to and including a "/"), ascending by
  /// key (bytes), all that was put before the call began and not removed before it ended. What
  /// `each` throws ends the list.
  virtual void list(const std::string& prefix,
                    const std::function<void(const ObjectInfo&)>& each) = 0;
  /// No error when there is none, or none any more. In a bucket with versions all of them are
  /// removed, or, with `remove_versions = False`, a delete marker is left; a version that an object
  /// lock protects is a permanent Error.
  virtual void remove(const std::string& key) = 0;

  /// The store's own clock, as `modified` would say of an object put now.
  virtual StoreTime now() = 0;
  /// Until when the object can neither be removed nor replaced; nullopt when it can.
  virtual std::optional<StoreTime> locked_until(const std::string& key) = 0;
  /// Extends (never shortens) that. Throws Error(usage) where the store has no object lock.
  virtual void lock_until(const std::string& key, StoreTime until) = 0;
  /// How long a put may take to be seen by list(); zero where listing is consistent.
  virtual std::chrono::milliseconds list_lag() const noexcept = 0;
};

}  // namespace hamal
