// A thread of its own draws, so that a stall is seen as one, and counting costs the workers
// nothing.
#include "hamal/report/progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <thread>

#include "hamal/report/progress_format.hpp"
#include "hamal/report/progress_items.hpp"
#include "hamal/util/time.hpp"

namespace hamal {
namespace {

using std::chrono::milliseconds;

// Progress that cannot be shown is no reason to stop.
void write_quietly(int fd, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t put = ::write(fd, text.data(), text.size());
    if (put < 0 && errno == EINTR) {
      continue;
    }
    if (put <= 0) {
      return;
    }
    text.remove_prefix(static_cast<std::size_t>(put));
  }
}

class QuietProgress final : public Progress {
 public:
  void phase(std::string_view /*object*/, std::string_view /*name*/,
             std::uint64_t /*total*/) override {}
  void advance(std::string_view /*object*/, std::uint64_t /*bytes*/) override {}
  void bound(std::string_view /*object*/, std::string_view /*by*/) override {}
  void done(std::string_view /*object*/) override {}
};

/// How one kind of report looks. Called under one lock.
class Painter {
 public:
  virtual ~Painter() = default;
  virtual milliseconds period() const = 0;
  virtual void begin(const ProgressView& view) = 0;
  virtual void tick(const std::vector<ProgressView>& views) = 0;
  virtual void end(const ProgressView& view) = 0;
  virtual void close() {}
};

/// One line that is drawn again and again, and erased when nothing is going on any more.
class TerminalPainter final : public Painter {
 public:
  explicit TerminalPainter(int fd) : m_fd(fd) {}
  milliseconds period() const override { return milliseconds(200); }
  void begin(const ProgressView& /*view*/) override {}
  void tick(const std::vector<ProgressView>& views) override {
    if (views.empty()) {
      close();
      return;
    }
    // The last column stays free: writing there makes some terminals wrap.
    write_quietly(m_fd, "\r\x1b[K" + clip_columns(progress_text(views), columns() - 1));
    m_drawn = true;
  }
  void end(const ProgressView& /*view*/) override { close(); }
  void close() override {
    if (m_drawn) {
      write_quietly(m_fd, "\r\x1b[K");
      m_drawn = false;
    }
  }

 private:
  std::size_t columns() const {
    winsize size{};
    return ::ioctl(m_fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
  }
  int m_fd;
  bool m_drawn = false;
};

/// Text into a file or a pipe: lines that stay.
class LinePainter final : public Painter {
 public:
  explicit LinePainter(int fd) : m_fd(fd) {}
  milliseconds period() const override { return milliseconds(10'000); }
  void begin(const ProgressView& view) override { line(view, ""); }
  void tick(const std::vector<ProgressView>& views) override {
    for (const ProgressView& view : views) {
      line(view, "");
    }
  }
  void end(const ProgressView& view) override { line(view, " done"); }

 private:
  void line(const ProgressView& view, const char* behind) {
    write_quietly(m_fd, progress_text(view) + behind + "\n");
  }
  int m_fd;
};

class JsonPainter final : public Painter {
 public:
  explicit JsonPainter(int fd) : m_fd(fd) {}
  milliseconds period() const override { return milliseconds(1000); }
  void begin(const ProgressView& view) override { line("phase", view); }
  void tick(const std::vector<ProgressView>& views) override {
    for (const ProgressView& view : views) {
      line("progress", view);
    }
  }
  void end(const ProgressView& view) override { line("done", view); }

 private:
  void line(std::string_view event, const ProgressView& view) {
    write_quietly(m_fd, progress_json(event, view, rfc3339(system_clock().wall())));
  }
  int m_fd;
};

class DrawnProgress final : public Progress {
 public:
  explicit DrawnProgress(std::unique_ptr<Painter> painter)
      : m_painter(std::move(painter)), m_thread(start_without_signals()) {}
  ~DrawnProgress() override {
    {
      const std::lock_guard lock(m_mutex);
      m_stop = true;
    }
    m_wake.notify_one();
    m_thread.join();
    m_painter->close();
  }
  DrawnProgress(const DrawnProgress&) = delete;
  DrawnProgress& operator=(const DrawnProgress&) = delete;

  void phase(std::string_view object, std::string_view name, std::uint64_t total) override {
    const std::lock_guard lock(m_mutex);
    m_painter->begin(m_items.begin_phase(object, name, total, now()));
  }
  void advance(std::string_view object, std::uint64_t bytes) override {
    m_items.advance(object, bytes);
  }
  void bound(std::string_view object, std::string_view by) override { m_items.bound(object, by); }
  void done(std::string_view object) override {
    const std::lock_guard lock(m_mutex);
    if (const auto last = m_items.finish(object, now())) {
      m_painter->end(*last);
    }
  }

 private:
  static std::chrono::steady_clock::time_point now() { return system_clock().steady(); }

  // Signals are for the threads that the process had before: this one must not take them.
  std::thread start_without_signals() {
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    std::thread thread([this] { draw(); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return thread;
  }

  void draw() {
    std::unique_lock lock(m_mutex);
    while (!m_wake.wait_for(lock, m_painter->period(), [this] { return m_stop; })) {
      m_painter->tick(m_items.sample(now()));
    }
  }

  std::unique_ptr<Painter> m_painter;
  ProgressItems m_items;
  std::mutex m_mutex;
  std::condition_variable m_wake;
  bool m_stop = false;
  std::thread m_thread;  // last: it uses all the others
};

std::unique_ptr<Progress> make_text(int fd) {
  if (::isatty(fd) == 1) {
    return std::make_unique<DrawnProgress>(std::make_unique<TerminalPainter>(fd));
  }
  return std::make_unique<DrawnProgress>(std::make_unique<LinePainter>(fd));
}

}  // namespace

std::unique_ptr<Progress> make_progress(ProgressMode mode, int fd) {
  switch (mode) {
    case ProgressMode::automatic:
      return ::isatty(fd) == 1 ? make_text(fd) : std::make_unique<QuietProgress>();
    case ProgressMode::text:
      return make_text(fd);
    case ProgressMode::json:
      return std::make_unique<DrawnProgress>(std::make_unique<JsonPainter>(fd));
    case ProgressMode::quiet:
      break;
  }
  return std::make_unique<QuietProgress>();
}

}  // namespace hamal
