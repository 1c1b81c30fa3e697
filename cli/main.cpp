// The `weft` command: finds the subcommand, parses its flags, runs it, and turns every way in which
// that can end into an exit code (commands.h).
#include <fmt/core.h>

#include <algorithm>
#include <csignal>
#include <exception>
#include <new>

#include "base/check.h"
#include "base/names.h"
#include "cli/commands.h"

namespace weft::cli {
namespace {

std::vector<const Command*>& registry() {
  static std::vector<const Command*> list;
  return list;
}

/// A word as a POSIX shell takes it.
std::string shell_word(const std::string& word) {
  const bool plain = !word.empty() && word.find_first_not_of(
                                          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789-_./=:,@%+") == std::string::npos;
  if (plain) return word;
  std::string out = "'";
  for (char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string command_line(const std::vector<std::string>& arguments) {
  std::string out = "weft";
  for (const std::string& a : arguments) out += " " + shell_word(a);
  return out;
}

int fail(const std::string& message, const std::string& help) {
  print_errors({Error{message, {}, help}});
  return kBadInput;
}

std::vector<std::string> flag_names(const CLI::App& app) {
  std::vector<std::string> out;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) out.push_back("--" + name);
  }
  return out;
}

/// What was typed that nobody expected: a flag that may be a slip, or a word too many.
int unexpected_argument(const CLI::App& app, const std::string& name,
                        const std::vector<std::string>& remaining) {
  const std::string help = fmt::format("weft {} --help lists the flags", name);
  if (remaining.empty()) return fail("an argument was not expected", help);
  std::string flag = remaining.front();
  if (flag.rfind("-", 0) != 0) {
    return fail(fmt::format("unexpected argument '{}'", flag), help);
  }
  flag = flag.substr(0, flag.find('='));
  const std::string near = nearest_name(flag, flag_names(app));
  return fail(fmt::format("weft {} has no flag '{}'{}", name, flag,
                          near.empty() ? "" : fmt::format("; did you mean '{}'?", near)),
              help);
}

std::string overview() {
  std::string out =
      "weft simulates datacenter overlays: a leaf-spine fabric, hypervisors with their virtual\n"
      "switches, the control plane above them, and VMs that move while traffic flows.\n\n"
      "Usage: weft COMMAND [ARGUMENTS]\n\nCommands:\n";
  for (const Command* c : commands()) out += fmt::format("  {:<9} {}\n", c->name, c->summary);
  out +=
      "\nFlags:\n  --help     This text; weft COMMAND --help for one command\n"
      "  --version  The version\n\nExamples:\n";
  for (const Command* c : commands()) out += c->examples.substr(0, c->examples.find('\n') + 1);
  return out;
}

int dispatch(const std::vector<std::string>& arguments) {
  const std::string first = arguments.empty() ? "--help" : arguments.front();
  if (first == "--help" || first == "-h" || first == "help") {
    fmt::print("{}", overview());
    return arguments.empty() ? kBadInput : kOk;
  }
  if (first == "--version" || first == "version") {
    fmt::print("weft {}\n", version());
    return kOk;
  }

  std::vector<std::string> names;
  const Command* command = nullptr;
  for (const Command* c : commands()) {
    names.push_back(c->name);
    if (c->name == first) command = c;
  }
  if (command == nullptr) {
    names.insert(names.end(), {"--help", "--version"});
    const std::string near = nearest_name(first, names);
    return fail(fmt::format("weft has no {} '{}'{}", first[0] == '-' ? "flag" : "command", first,
                            near.empty() ? "" : fmt::format("; did you mean '{}'?", near)),
                "weft --help lists the commands");
  }

  CLI::App app{command->summary, "weft " + command->name};
  app.allow_extras(false);
  app.set_help_flag("-h,--help", "This text");
  if (!command->examples.empty()) app.footer("Examples:\n" + command->examples);
  const Action action = command->setup(app);
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend() - 1);
  try {
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    return kOk;
  } catch (const CLI::ExtrasError&) {
    return unexpected_argument(app, command->name, app.remaining());
  } catch (const CLI::ParseError& e) {
    return fail(e.what(), fmt::format("weft {} --help lists the flags", command->name));
  }
  return action();
}

int internal_fault(const std::vector<std::string>& arguments, const std::string& what) {
  std::fflush(stdout);
  fmt::print(stderr,
             "weft: internal fault: {}\n"
             "  This is a fault of weft, not of your scenario. Please report it with\n"
             "    weft {} and the scenario, and the command that shows it:\n"
             "    {}\n",
             what, version(), command_line(arguments));
  return kInternalFault;
}

}  // namespace

Command::Command(std::string name_, std::string summary_, int order_, std::string examples_,
                 std::function<Action(CLI::App&)> setup_)
    : name(std::move(name_)),
      summary(std::move(summary_)),
      order(order_),
      examples(std::move(examples_)),
      setup(std::move(setup_)) {
  registry().push_back(this);
}

std::vector<const Command*> commands() {
  std::vector<const Command*> list = registry();
  std::sort(list.begin(), list.end(), [](const Command* a, const Command* b) {
    return a->order != b->order ? a->order < b->order : a->name < b->name;
  });
  return list;
}

const char* version() { return WEFT_VERSION; }

void print_errors(const std::vector<Error>& errors) {
  for (const Error& e : errors) fmt::print(stderr, "{}\n", e.text());
}

}  // namespace weft::cli

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  // A file that may not grow further (ulimit -f) is an error of that write, as a full disk is.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    return weft::cli::dispatch(arguments);
  } catch (const weft::InternalFault& fault) {
    return weft::cli::internal_fault(arguments, fault.what());
  } catch (const std::bad_alloc&) {
    fmt::print(stderr,
               "error: out of memory\n  help: fewer hosts, packets in flight or captures\n");
    return weft::cli::kBadInput;
  } catch (const std::exception& e) {
    return weft::cli::internal_fault(arguments, e.what());
  }
}
