// The one exception type of the library, and its one mapping to exit statuses.
#pragma once
#include <stdexcept>
#include <string>

namespace hamal {

/// The exit statuses of every tool (hamal(7), EXIT STATUS). The values are part of the interface.
enum class ExitStatus : int {
  done = 0,
  failed = 1,
  usage = 2,
  partial = 3,
  busy = 4,
  base_mismatch = 5,
  wrong_target = 6,
  temporary = 75,
  interrupted = 130,
  terminated = 143,
};

/// What kind of thing went wrong: decides the exit status, together with whether it is transient.
enum class ErrorKind {
  failed,         ///< an operation failed; transient ones exit 75, permanent ones 1
  usage,          ///< wrong option, configuration or document
  busy,           ///< another run holds the vm or the target
  base_mismatch,  ///< the base is not the target's checkpoint, or the change id cannot be used any
                  ///< more
  wrong_target,   ///< the target is not the disk it should be
  interrupted,    ///< SIGINT
  terminated,     ///< SIGTERM
};

enum class Transience { permanent, transient };

/// Thrown by the whole library. `what()` is the whole sentence; the parts serve reports.
class Error : public std::runtime_error {
 public:
  /// @param what what failed, in the words an operator uses, without the object
  /// @param object on what: a path, URI, vm/disk, section; may be empty
  /// @param hint what to do about it; may be empty
  Error(ErrorKind kind, std::string what, std::string object = {}, std::string hint = {},
        Transience transience = Transience::permanent);

  ErrorKind kind() const noexcept { return m_kind; }
  bool transient() const noexcept { return m_transience == Transience::transient; }
  const std::string& problem() const noexcept { return m_problem; }
  const std::string& object() const noexcept { return m_object; }
  const std::string& hint() const noexcept { return m_hint; }

 private:
  ErrorKind m_kind;
  Transience m_transience;
  std::string m_problem;
  std::string m_object;
  std::string m_hint;
};

ExitStatus exit_status(const Error& error) noexcept;

/// ErrorKind::failed with the words of `errno_value` appended ("cannot open: No such file or
/// directory"). ENOSPC, EDQUOT and the like carry a hint; EAGAIN, ETIMEDOUT, ECONNRESET… are
/// transient.
Error system_error(std::string what, std::string object, int errno_value);

/// The words of an exception that may or may not be an Error.
std::string describe(const std::exception_ptr& error);

}  // namespace hamal
