// What versions need of what is stored: the packs that visible bytes lie in, the layers that say
// so, the compactions that tell where they went (hamal-repository(5), PRUNING).
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "hamal/repository/moved.hpp"
#include "hamal/repository/repository.hpp"

namespace hamal::repository {

struct Need {
  std::set<PackName> packs;
  std::set<std::string> objects;  ///< keys of layers and compactions
};

/// Adds up versions, exactly: a record that newer layers hide needs nothing. Versions of one
/// machine are best added one after the other, in the order of their generations: what a disk's
/// layers share with those of the version before is not walked again. Memory: what is needed, and a
/// stack of layers per disk of the machine. One thread.
class NeedWalk {
 public:
  /// Told every record that is needed, where it lies now; one that is needed again may be told
  /// again.
  using EachRecord = std::function<void(const RecordPlace&)>;

  NeedWalk(Repository& repository, std::shared_ptr<const Moves> moves, EachRecord each = {});
  /// Throws ObjectMissing and other Errors for what cannot be read: nothing may be deleted then.
  void add(const Manifest& version);
  const Need& need() const noexcept { return m_need; }

 private:
  void walk(const LayerStack& stack, const LayerStack& before);
  void take(const RecordPlace& place);

  Repository& m_repository;
  std::shared_ptr<const Moves> m_moves;
  EachRecord m_each;
  Need m_need;
  VmName m_vm;                                 // of m_stacks
  std::map<std::string, LayerStack> m_stacks;  // by disk id, of the version added last
  PackName m_pack;                             // taken last
  bool m_taken = false;
};

}  // namespace hamal::repository
