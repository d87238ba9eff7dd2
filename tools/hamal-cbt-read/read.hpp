// The three forms in which hamal-cbt-read prints: extents, data, raw.
#pragma once
#include "common/output.hpp"
#include "common/session.hpp"
#include "hamal-cbt-read/options.hpp"
#include "hamal-cbt-read/source.hpp"
#include "hamal/sync/read_changes.hpp"

namespace hamal {

int run_read(const ReadRequest& request, Session& session);

void print_extents(ReadSource& source, const BaseChooser& choose, Session& session);
/// Plans of all disks, their bytes, and the end record only once every snapshot was verified (rule
/// 7).
void print_data(ReadSource& source, const BaseChooser& choose, Session& session);
/// One disk. Its end cannot be marked: only exit status 0 says that it is whole.
void print_raw(ReadSource& source, Session& session);

}  // namespace hamal
