// The record of a job that could not be begun at all, such as when its platform cannot be asked.
#pragma once
#include <string>

namespace hamal::period {

/// Its vm_id. Where the state is shared each proxy has one of its own, because what one cannot
/// reach another may: `proxy` is its name; empty: the state is not shared. Never the id of a vm.
std::string job_record_id(const std::string& proxy);
/// Whether a vm_id is that of such a record, of whichever proxy.
bool is_job_record(const std::string& vm_id);

}  // namespace hamal::period
