#include "scenarios/import/nbctl.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "base/names.h"
#include "scenarios/import/nbctl_runner.h"

namespace weft::imports {
namespace {

struct CommandLine {
  std::string_view name;
  std::size_t min = 0, max = 0;
  std::string_view options;  // "--may-exist --policy=": = for those that take a value, ? may
  void (Runner::*run)(const Call&) = nullptr;
};

constexpr std::size_t kAny = 1'000'000;

const std::vector<CommandLine>& commands() {
  using R = Runner;
  static const std::vector<CommandLine> all = {
      {"acl-add", 5, 5,
       "--type= --log --meter= --severity= --name= --label= --may-exist --apply-after-lb --tier=",
       &R::acl_add},
      {"acl-del", 1, 4, "--type= --tier=", &R::acl_del},
      {"acl-list", 1, 1, "--type=", &R::nothing},
      {"add", 4, kAny, "--if-exists", &R::db_add},
      {"clear", 3, kAny, "--if-exists", &R::db_clear},
      {"comment", 0, kAny, "", &R::nothing},
      {"copp-add", 3, 3, "", &R::nothing},
      {"copp-del", 1, 2, "", &R::nothing},
      {"copp-list", 1, 1, "", &R::nothing},
      {"create", 2, kAny, "--id=", &R::db_create},
      {"del-connection", 0, 0, "", &R::nothing},
      {"del-ssl", 0, 0, "", &R::nothing},
      {"destroy", 1, kAny, "--if-exists --all", &R::db_destroy},
      {"dhcp-options-create", 1, kAny, "", &R::dhcp_create},
      {"dhcp-options-del", 1, 1, "--if-exists", &R::delete_named},
      {"dhcp-options-get-options", 1, 1, "", &R::nothing},
      {"dhcp-options-list", 0, 0, "", &R::nothing},
      {"dhcp-options-set-options", 1, kAny, "", &R::set_options},
      {"find", 1, kAny, "--columns=", &R::nothing},
      {"fwd-group-add", 5, kAny, "--liveness", &R::unsupported},
      {"fwd-group-del", 1, 1, "--if-exists", &R::unsupported},
      {"fwd-group-list", 0, 1, "", &R::nothing},
      {"get", 2, kAny, "--if-exists --id=", &R::db_get},
      {"get-connection", 0, 0, "", &R::nothing},
      {"get-ssl", 0, 0, "", &R::nothing},
      {"ha-chassis-group-add", 1, 1, "--may-exist", &R::ha_add},
      {"ha-chassis-group-add-chassis", 3, 3, "", &R::ha_add_chassis},
      {"ha-chassis-group-del", 1, 1, "--if-exists", &R::delete_named},
      {"ha-chassis-group-list", 0, 1, "", &R::nothing},
      {"ha-chassis-group-remove-chassis", 2, 2, "", &R::ha_remove_chassis},
      {"init", 0, 0, "", &R::nothing},
      {"lb-add", 3, 4, "--may-exist --add-duplicate --reject --event --add-route", &R::lb_add},
      {"lb-del", 1, 2, "--if-exists", &R::lb_del},
      {"lb-list", 0, 1, "", &R::nothing},
      {"list", 1, kAny, "--if-exists --columns=", &R::nothing},
      {"lr-add", 0, 1, "--may-exist --add-duplicate", &R::lr_add},
      {"lr-copp-add", 2, 2, "", &R::nothing},
      {"lr-copp-del", 1, 1, "", &R::nothing},
      {"lr-del", 1, 1, "--if-exists", &R::delete_named},
      {"lr-lb-add", 2, 2, "--may-exist", &R::attach_lb},
      {"lr-lb-del", 1, 2, "--if-exists", &R::detach_lb},
      {"lr-lb-list", 1, 1, "", &R::nothing},
      {"lr-list", 0, 0, "", &R::nothing},
      {"lr-nat-add", 4, 7,
       "--may-exist --stateless --portrange --add-route --gateway-port= --gateway_port=",
       &R::nat_add},
      {"lr-nat-del", 1, 4, "--if-exists", &R::nat_del},
      {"lr-nat-list", 1, 1, "", &R::nothing},
      {"lr-policy-add", 4, kAny, "--may-exist", &R::policy_add},
      {"lr-policy-del", 1, 3, "--if-exists", &R::policy_del},
      {"lr-policy-list", 1, 1, "", &R::nothing},
      {"lr-route-add", 3, 4,
       "--may-exist --ecmp --ecmp-symmetric-reply --policy= --route-table=", &R::route_add},
      {"lr-route-del", 1, 4, "--if-exists --policy= --route-table=", &R::route_del},
      {"lr-route-list", 1, 1, "--route-table=", &R::nothing},
      {"lrp-add", 4, kAny, "--may-exist", &R::lrp_add},
      {"lrp-del", 1, 1, "--if-exists", &R::lrp_del},
      {"lrp-del-gateway-chassis", 2, 2, "", &R::lrp_del_gateway},
      {"lrp-get-enabled", 1, 1, "", &R::nothing},
      {"lrp-get-gateway-chassis", 1, 1, "", &R::nothing},
      {"lrp-get-redirect-type", 1, 1, "", &R::nothing},
      {"lrp-list", 1, 1, "", &R::nothing},
      {"lrp-set-enabled", 2, 2, "", &R::set_enabled},
      {"lrp-set-gateway-chassis", 2, 3, "", &R::lrp_gateway},
      {"lrp-set-options", 1, kAny, "", &R::set_options},
      {"lrp-set-redirect-type", 2, 2, "", &R::lrp_redirect},
      {"ls-add", 0, 1, "--may-exist --add-duplicate", &R::ls_add},
      {"ls-copp-add", 2, 2, "", &R::nothing},
      {"ls-copp-del", 1, 1, "", &R::nothing},
      {"ls-del", 1, 1, "--if-exists", &R::delete_named},
      {"ls-lb-add", 2, 2, "--may-exist", &R::attach_lb},
      {"ls-lb-del", 1, 2, "--if-exists", &R::detach_lb},
      {"ls-lb-list", 1, 1, "", &R::nothing},
      {"ls-list", 0, 0, "", &R::nothing},
      {"lsp-add", 2, 4, "--may-exist", &R::lsp_add},
      {"lsp-attach-mirror", 2, 2, "--may-exist", &R::lsp_mirror},
      {"lsp-del", 1, 1, "--if-exists", &R::lsp_del},
      {"lsp-detach-mirror", 2, 2, "--if-exists", &R::lsp_mirror},
      {"lsp-get-addresses", 1, 1, "", &R::nothing},
      {"lsp-get-dhcpv4-options", 1, 1, "", &R::nothing},
      {"lsp-get-dhcpv6-options", 1, 1, "", &R::nothing},
      {"lsp-get-enabled", 1, 1, "", &R::nothing},
      {"lsp-get-ls", 1, 1, "", &R::nothing},
      {"lsp-get-options", 1, 1, "", &R::nothing},
      {"lsp-get-parent", 1, 1, "", &R::nothing},
      {"lsp-get-port-security", 1, 1, "", &R::nothing},
      {"lsp-get-tag", 1, 1, "", &R::nothing},
      {"lsp-get-type", 1, 1, "", &R::nothing},
      {"lsp-get-up", 1, 1, "", &R::nothing},
      {"lsp-list", 1, 1, "", &R::nothing},
      {"lsp-set-addresses", 1, kAny, "", &R::lsp_set_list},
      {"lsp-set-dhcpv4-options", 1, 2, "", &R::lsp_set_dhcp},
      {"lsp-set-dhcpv6-options", 1, 2, "", &R::lsp_set_dhcp},
      {"lsp-set-enabled", 2, 2, "", &R::set_enabled},
      {"lsp-set-options", 1, kAny, "", &R::set_options},
      {"lsp-set-port-security", 1, kAny, "", &R::lsp_set_list},
      {"lsp-set-type", 2, 2, "", &R::lsp_set_type},
      {"meter-add", 4, 5, "--fair", &R::meter_add},
      {"meter-del", 0, 1, "--if-exists", &R::delete_named},
      {"meter-list", 0, 0, "", &R::nothing},
      {"mirror-add", 4, 5, "--may-exist", &R::mirror_add},
      {"mirror-del", 0, 1, "--if-exists", &R::delete_named},
      {"mirror-list", 0, 0, "", &R::nothing},
      {"pg-add", 1, kAny, "--may-exist", &R::pg_add},
      {"pg-del", 1, 1, "--if-exists", &R::delete_named},
      {"pg-set-ports", 2, kAny, "", &R::pg_set_ports},
      {"qos-add", 5, 8, "--may-exist", &R::qos_add},
      {"qos-del", 1, 4, "", &R::qos_del},
      {"qos-list", 1, 1, "", &R::nothing},
      {"remove", 4, kAny, "--if-exists", &R::db_remove},
      {"set", 3, kAny, "--if-exists", &R::db_set},
      {"set-connection", 1, kAny, "--inactivity-probe=", &R::nothing},
      {"set-ssl", 3, 5, "--bootstrap", &R::nothing},
      {"show", 0, 1, "", &R::nothing},
      {"static-mac-binding-add", 3, 3, "--may-exist", &R::unsupported},
      {"static-mac-binding-del", 2, 2, "--if-exists", &R::unsupported},
      {"static-mac-binding-list", 0, 1, "", &R::nothing},
      {"sync", 0, 0, "", &R::nothing},
      {"wait-until", 2, kAny, "", &R::nothing},
  };
  return all;
}

const CommandLine* command_named(std::string_view name) {
  const auto& all = commands();
  const auto it =
      std::find_if(all.begin(), all.end(), [&](const auto& c) { return c.name == name; });
  return it == all.end() ? nullptr : &*it;
}

/// Options of ovn-nbctl itself: how to reach the database and what to wait for.
struct Global {
  std::string_view name;
  bool value = false;  ///< in the next word, or after =
};
constexpr Global kGlobals[] = {{"--wait", true},
                               {"--no-wait"},
                               {"--db", true},
                               {"-d", true},
                               {"--timeout", true},
                               {"-t", true},
                               {"-u", true},
                               {"--leader-only"},
                               {"--no-leader-only"},
                               {"--shuffle-remotes"},
                               {"--no-shuffle-remotes"},
                               {"--no-syslog"},
                               {"--oneline"},
                               {"--print-wait-time"},
                               {"--bare"},
                               {"--no-headings"},
                               {"--data", true},
                               {"--format", true},
                               {"-f", true},
                               {"--private-key", true},
                               {"-p", true},
                               {"--certificate", true},
                               {"-c", true},
                               {"--ca-cert", true},
                               {"-C", true}};

bool is_nbctl(std::string_view word) { return word == "ovn-nbctl" || word.ends_with("/ovn-nbctl"); }

std::size_t skip_program(const Line& line) {
  if (is_nbctl(line[0].text)) return 1;
  if (line[0].text == "sudo" && line.size() > 1 && is_nbctl(line[1].text)) return 2;
  return 0;
}

/// How many words at `i` are an option of ovn-nbctl itself.
std::size_t global_words(const Line& line, std::size_t i) {
  const std::string& text = line[i].text;
  const std::size_t equals = text.find('=');
  for (const Global& g : kGlobals) {
    if (text == g.name) return g.value ? 2 : 1;
    if (g.value && text.substr(0, equals) == g.name) return 1;
    // -t5
    if (g.value && g.name.size() == 2 && text.size() > 2 && text.starts_with(g.name)) return 1;
  }
  return 0;
}

}  // namespace

std::vector<std::string> nbctl_commands() {
  std::vector<std::string> out;
  for (const CommandLine& c : commands()) out.emplace_back(c.name);
  return out;
}

bool looks_like_nbctl(const std::string& text) {
  scenarios::Diagnostics ignored;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const auto lines = split_script(text.substr(at, end - at), {}, ignored);
    at = end + 1;
    if (lines.empty() && ignored.count() == 0) continue;
    if (lines.empty()) return false;
    const Line& line = lines.front();
    std::size_t i = skip_program(line);
    if (i > 0) return true;
    while (i < line.size() && line[i].text.starts_with("-")) ++i;
    return i < line.size() && command_named(line[i].text) != nullptr;
  }
  return false;
}

void run_nbctl(const std::string& text, const std::string& file, NbStore& store,
               scenarios::Diagnostics& diag) {
  Runner runner(store, diag);
  for (const Line& line : split_script(text, file, diag)) runner.run(line);
  for (const Error& e : store.check()) diag.error(e.place, e.message, e.remedy);
}

void Runner::run(const Line& line) {
  symbols_.clear();
  pending_.clear();
  failed_ = false;
  std::size_t i = skip_program(line);
  while (i < line.size()) {
    const std::size_t n = global_words(line, i);
    if (n == 0) break;
    i += n;
  }
  while (i < line.size()) {
    if (line[i].text == "--") {
      ++i;
      continue;
    }
    Call call;
    call.name = line[i];
    while (i < line.size() && line[i].text.starts_with("-") && line[i].text != "--") {
      const std::string& text = line[i].text;
      const std::size_t equals = text.find('=');
      const bool bare = equals == std::string::npos;
      call.options[text.substr(0, equals)] = {bare ? std::string() : text.substr(equals + 1),
                                              line[i].place};
      ++i;
    }
    if (i >= line.size() || line[i].text == "--") {
      error(call.name, "options without a command", "options stand before the command they are of");
      continue;
    }
    call.name = line[i++];
    while (i < line.size() && line[i].text != "--") call.args.push_back(line[i++]);
    const CommandLine* command = command_named(call.name.text);
    if (command == nullptr) {
      error(call.name, fmt::format("ovn-nbctl has no command '{}' that weft knows", call.name.text),
            scenarios::suggest(call.name.text, nbctl_commands()));
      continue;
    }
    bool usable = true;
    for (const auto& [option, value] : call.options) {
      const std::string list = fmt::format(" {} ", command->options);
      const bool plain = list.find(fmt::format(" {} ", option)) != std::string::npos;
      const bool valued = list.find(fmt::format(" {}= ", option)) != std::string::npos;
      if (plain || valued) continue;
      error(value, fmt::format("{} has no option {} that weft knows", command->name, option),
            command->options.empty() ? std::string() : fmt::format("it has {}", command->options));
      usable = false;
    }
    for (const Word& word : call.args) {
      if (!word.text.starts_with("--")) continue;
      error(word, fmt::format("the option {} stands after its command", word.text),
            fmt::format("{} {} ...", word.text, command->name));
      usable = false;
    }
    if (call.args.size() < command->min || call.args.size() > command->max) {
      error(call.name, fmt::format("{} takes {} arguments, not {}", command->name,
                                   command->min == command->max ? std::to_string(command->min)
                                   : command->max == kAny
                                       ? fmt::format("at least {}", command->min)
                                       : fmt::format("{} to {}", command->min, command->max),
                                   call.args.size()));
      usable = false;
    }
    place_ = call.name.place;
    if (usable) (this->*command->run)(call);
  }
  for (const auto& [name, place] : pending_)
    error(place, fmt::format("{} is used, but nothing on this line creates it", name),
          "--id=@name create TABLE ..., on the same line");
  const std::vector<std::string> gone = store_.settle();
  // Rows that nothing refers to go when what referred to them went; a row that was only now
  // created was never of any use.
  for (const auto& [name, uuid] : symbols_) {
    if (failed_ || pending_.contains(name)) continue;
    bool alive = false;
    for (const auto& [table, info] : nb_tables()) alive |= store_.find(table, uuid) != nullptr;
    if (!alive)
      error(line[0], fmt::format("the row {} vanishes at once, for nothing refers to it", name),
            "let a row name it, on the same line: -- add TABLE ROW COLUMN @name");
  }
}

void Runner::error(const Place& place, std::string message, std::string remedy) {
  failed_ = true;
  diag_.error(place, std::move(message), std::move(remedy));
}

// Of a counter: the same script has the same UUIDs in every run.
std::string Runner::new_uuid() {
  for (;;) {
    const std::uint64_t high = mix64(++uuids_, 0x6f766e), low = mix64(high, uuids_);
    std::string uuid =
        fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}", high >> 32, high >> 16 & 0xffff,
                    high & 0xfff, 0x8000 | (low >> 48 & 0x3fff), low & 0xffffffffffff);
    const bool taken = std::any_of(nb_tables().begin(), nb_tables().end(), [&](const auto& t) {
      return store_.find(t.first, uuid) != nullptr;
    });
    if (!taken) return uuid;
  }
}

std::vector<NbRow*> Runner::children(const NbRow& row, std::string_view column) const {
  std::vector<NbRow*> out;
  for (const auto& [uuid, ignored] : row.get(column))
    if (NbRow* child = store_.find(row.table->column(column)->target, uuid)) out.push_back(child);
  return out;
}

NbRow& Runner::create(std::string_view table, const Place& place, const std::string& uuid) {
  return store_.insert(*nb_table(table), uuid.empty() ? new_uuid() : uuid, place);
}

void Runner::put(NbRow& row, std::string_view column, Datum value) {
  const NbColumn& c = *row.table->column(column);
  // A switch stays where it was written when it gets one more port.
  if (!c.strong) row.place = place_;
  store_.set(row, c, std::move(value));
}

void Runner::put(NbRow& row, std::string_view column, const std::string& value) {
  Datum d;
  if (!value.empty()) d[value];
  put(row, column, std::move(d));
}

void Runner::put_into(NbRow& row, std::string_view column, const std::string& key,
                      const std::string& value) {
  Datum d = row.get(column);
  d[key] = value;
  put(row, column, std::move(d));
}

void Runner::take_from(NbRow& row, std::string_view column, const std::string& key) {
  Datum d = row.get(column);
  d.erase(key);
  put(row, column, std::move(d));
}

NbRow* Runner::find(std::string_view table, const Word& word, bool quiet) {
  if (is_uuid(word.text)) {
    if (NbRow* row = store_.find(table, *canonical_atom(AtomType::uuid, word.text))) return row;
  }
  const auto found = store_.named(table, word.text);
  if (found.size() == 1) return found.front();
  if (found.size() > 1) {
    error(word, fmt::format("{} rows of {} are named '{}'", found.size(), table, word.text),
          "give the UUID of the one that is meant");
    return nullptr;
  }
  if (quiet) return nullptr;
  std::vector<std::string> names;
  for (const auto& [uuid, row] : store_.rows(table))
    if (row->table->column("name") != nullptr) names.push_back(row->text("name"));
  const std::string near = nearest_name(word.text, names);
  error(word, fmt::format("there is no {} '{}'", table, word.text),
        near.empty() ? "earlier lines of the script must create it"
                     : fmt::format("did you mean '{}'?", near));
  return nullptr;
}

bool Runner::is_number(const Word& word, std::int64_t min, std::int64_t max,
                       std::string_view what) {
  const auto canonical = canonical_atom(AtomType::integer, word.text);
  if (canonical && std::stoll(*canonical) >= min && std::stoll(*canonical) <= max) return true;
  error(word,
        fmt::format("'{}' is no {}: a whole number from {} to {}", word.text, what, min, max));
  return false;
}

bool Runner::is_choice(const Word& word, std::initializer_list<std::string_view> choices) {
  if (std::find(choices.begin(), choices.end(), word.text) != choices.end()) return true;
  error(word, fmt::format("'{}' is none of {}", word.text, fmt::join(choices, ", ")));
  return false;
}

void Runner::unsupported(const Call& call) {
  error(call.name, fmt::format("{}: weft has nothing like it", call.name.text),
        "docs/import.md lists what is supported");
}

}  // namespace weft::imports
