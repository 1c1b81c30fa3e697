// The real thing: ovsdb-server with OVN's northbound schema in a folder of its own, and ovn-nbctl
// on it. Where they are not installed, `missing()` says so and tests end with a visible line.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/check.h"

namespace weft::test {

namespace fs = std::filesystem;

inline std::string read_bytes(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  WEFT_CHECK(in.good(), "{} cannot be read", path.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

inline std::string shell_quoted(const std::string& word) {
  std::string out = "'";
  for (char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

class OvnPeer {
 public:
  static constexpr const char* kSchema = "/usr/share/ovn/ovn-nb.ovsschema";

  /// Empty if everything is there.
  static std::string missing() {
    for (const char* program : {"ovn-nbctl", "ovsdb-tool", "ovsdb-server", "ovsdb-client"})
      if (std::system((std::string("command -v ") + program + " >/dev/null 2>&1").c_str()) != 0)
        return std::string(program) + " is not installed";
    return fs::exists(kSchema) ? "" : std::string(kSchema) + " is not there";
  }

  OvnPeer() {
    std::string name = (fs::temp_directory_path() / "weft-ovn-XXXXXX").string();
    WEFT_CHECK(mkdtemp(name.data()) != nullptr);
    folder_ = name;
    WEFT_CHECK(run("ovsdb-tool create " + database().string() + " " + kSchema) == 0);
    const int started = run(
        "ovsdb-server --detach --no-chdir --pidfile=" + (folder_ / "pid").string() +
        " --log-file=" + (folder_ / "log").string() + " --unixctl=" + (folder_ / "ctl").string() +
        " --remote=punix:" + socket() + " " + database().string() + " >/dev/null 2>&1");
    WEFT_CHECK(started == 0, "ovsdb-server did not start; see {}", (folder_ / "log").string());
  }
  OvnPeer(const OvnPeer&) = delete;
  OvnPeer& operator=(const OvnPeer&) = delete;
  ~OvnPeer() {
    run("kill $(cat " + (folder_ / "pid").string() + ")");
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  /// One line of a script. Empty if it was accepted, else what ovn-nbctl said.
  std::string nbctl(const std::vector<std::string>& words) {
    std::string command = "ovn-nbctl --timeout=20 --db=unix:" + socket() + " --";
    for (const std::string& word : words) command += " " + shell_quoted(word);
    const fs::path said = folder_ / "said";
    const int status = run(command + " >/dev/null 2>" + said.string());
    const std::string text = read_bytes(said);
    return status != 0 && text.empty() ? "failed" : text;
  }
  std::string file() const { return read_bytes(database()); }
  std::string backup() {
    const fs::path out = folder_ / "backup";
    WEFT_CHECK(run("ovsdb-client backup unix:" + socket() + " OVN_Northbound >" + out.string()) ==
               0);
    return read_bytes(out);
  }
  void compact() {
    WEFT_CHECK(run("ovs-appctl -t " + (folder_ / "ctl").string() +
                   " ovsdb-server/compact >/dev/null 2>&1") == 0);
  }
  const fs::path& folder() const { return folder_; }
  int run(const std::string& command) {
    return std::system(("OVN_RUNDIR=" + folder_.string() + " OVS_RUNDIR=" + folder_.string() +
                        " sh -c " + shell_quoted(command))
                           .c_str());
  }

 private:
  fs::path database() const { return folder_ / "nb.db"; }
  std::string socket() const { return (folder_ / "sock").string(); }
  fs::path folder_;
};

}  // namespace weft::test
