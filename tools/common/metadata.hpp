// The documents of committed snapshots, kept for whoever must build a machine again: in
// hamal_lib_dir/metadata and in an object store (hamal.conf(5), [sync]
// save_local_snapshot_metadata, upload_metadata_to_oss; hamal(7), FILES).
#pragma once
#include "common/session.hpp"
#include "hamal/stream/snapshot_document.hpp"

namespace hamal {

/// Does what the configuration asks for. A document that cannot be uploaded stays in
/// metadata/pending and goes with the next one of its vm. The caller holds the vm's lock. Never
/// throws a hamal::Error: the data is committed, and what fails here is a warning.
void keep_metadata(const SnapshotDocument& document, Session& session);

}  // namespace hamal
