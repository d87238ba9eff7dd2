// Starts and stops the programs behind qsd.hpp.
#include "qsd.hpp"

#include <signal.h>
#include <stdlib.h>

#include <chrono>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "hamal/util/subprocess.hpp"

namespace hamal::test {
namespace {

using namespace std::chrono_literals;

pid_t read_pid(const std::filesystem::path& file) {
  pid_t pid = 0;
  std::ifstream(file) >> pid;
  return pid;
}

}  // namespace

ScratchDirectory::ScratchDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "hamal-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    throw std::runtime_error("cannot make " + pattern);
  }
  m_path = pattern;
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(m_path, ignored);
}

std::string run_or_throw(const std::vector<std::string>& argv) {
  const ProcessResult result = run_process(argv);
  if (result.exit_code != 0) {
    std::string line;
    for (const std::string& argument : argv) {
      line += argument + " ";
    }
    throw std::runtime_error(line + "ended with " + std::to_string(result.exit_code) + ": " +
                             result.stdout_text + result.stderr_text);
  }
  return result.stdout_text;
}

bool have_program(const std::string& name) {
  return run_process({"sh", "-c", "command -v " + name}).exit_code == 0;
}

Qsd::Qsd(std::filesystem::path directory, std::vector<std::string> disks, std::string size,
         TopFilter filter)
    : m_directory(std::move(directory)),
      m_disks(std::move(disks)),
      m_size(std::move(size)),
      m_filter(filter) {
  for (std::string& disk : m_disks) {
    disk = (m_directory / disk).string();
  }
  start();
}

Qsd::~Qsd() {
  run_process(script("kill"));
}

std::vector<std::string> Qsd::script(const std::string& command) const {
  return {"bash", std::string(HAMAL_SOURCE_DIR) + "/tests/lab/qsd.sh", command,
          m_directory.string()};
}

void Qsd::start() {
  std::vector<std::string> argv{
      "env", "QSD_SIZE=" + m_size,
      std::string("QSD_FILTER=") + (m_filter == TopFilter::present ? "yes" : "no")};
  const std::vector<std::string> command = script("start");
  argv.insert(argv.end(), command.begin(), command.end());
  argv.insert(argv.end(), m_disks.begin(), m_disks.end());
  run_or_throw(argv);
}

void Qsd::stop() {
  run_or_throw(script("stop"));
}

void Qsd::kill() {
  run_or_throw(script("kill"));
}

std::string Qsd::live_uri(std::size_t disk) const {
  return "nbd+unix:///live" + std::to_string(disk) + "?socket=" + nbd_socket();
}

void Qsd::io(std::size_t disk, const std::vector<std::string>& commands) const {
  std::vector<std::string> argv{"qemu-io", "-f", "raw", "-d", "unmap"};
  for (const std::string& command : commands) {
    argv.insert(argv.end(), {"-c", command});
  }
  argv.push_back(live_uri(disk));
  run_or_throw(argv);
}

QemuMachine::QemuMachine(std::filesystem::path directory, std::size_t disks,
                         const std::string& size)
    : m_directory(std::move(directory)) {
  std::filesystem::create_directories(scratch());
  std::vector<std::string> argv{"qemu-system-x86_64",
                                "-nodefaults",
                                "-display",
                                "none",
                                "-S",
                                "-daemonize",
                                "-m",
                                "64",
                                "-machine",
                                "accel=tcg",
                                "-pidfile",
                                (m_directory / "qemu.pid").string(),
                                "-object",
                                "iothread,id=io0",
                                "-chardev",
                                "socket,id=qmp,server=on,wait=off,path=" + qmp_socket(),
                                "-mon",
                                "chardev=qmp,mode=control",
                                "-device",
                                "virtio-net-pci,romfile=,mac=52:54:00:aa:bb:cc"};
  for (std::size_t number = 0; number < disks; ++number) {
    const std::string n = std::to_string(number);
    const std::string image = (m_directory / ("vd" + n + ".qcow2")).string();
    run_or_throw({"qemu-img", "create", "-q", "-f", "qcow2", image, size});
    argv.insert(argv.end(), {"-blockdev",
                             "driver=qcow2,discard=unmap,node-name=image" + n +
                                 ",file.driver=file,file.filename=" + image,
                             // One with a thread of its own: its nodes live in another context.
                             "-device",
                             "virtio-blk-pci,id=vd" + n + ",drive=image" + n +
                                 (number == 0 ? "" : ",iothread=io0")});
  }
  run_or_throw(argv);
}

QemuMachine::~QemuMachine() {
  if (const pid_t pid = read_pid(m_directory / "qemu.pid"); pid > 1) {
    ::kill(pid, SIGTERM);
    for (int tries = 0; tries < 100 && std::filesystem::exists(m_directory / "qemu.pid"); ++tries) {
      std::this_thread::sleep_for(50ms);
    }
  }
}

void QemuMachine::io(std::size_t disk, const std::string& command) const {
  qemu::QmpClient qmp({qmp_socket()});
  const std::string line = "qemu-io -d /machine/peripheral/vd" + std::to_string(disk) +
                           "/virtio-backend \"" + command + "\"";
  const auto reply = qmp.execute("human-monitor-command", {{"command-line", line}});
  if (const auto text = reply.get<std::string>();
      text.find("rror") != std::string::npos || text.find("failed") != std::string::npos) {
    throw std::runtime_error(line + ": " + text);
  }
}

std::vector<std::string> names_in_qemu(const std::string& qmp_socket, const std::string& part) {
  qemu::QmpClient qmp({qmp_socket});
  std::vector<std::string> names;
  for (const auto& node : qmp.execute("query-named-block-nodes", {{"flat", true}})) {
    names.push_back(node.at("node-name"));
    for (const auto& bitmap : node.value("dirty-bitmaps", qemu::Json::array())) {
      names.push_back(bitmap.value("name", ""));
    }
  }
  for (const auto& entry : qmp.execute("query-block-exports")) {
    names.push_back(entry.at("id"));
  }
  std::erase_if(names, [&](const std::string& name) { return name.find(part) == name.npos; });
  return names;
}

}  // namespace hamal::test
