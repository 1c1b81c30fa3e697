#include "datapath/group.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/hash.h"
#include "datapath/text_piece.h"

namespace weft::datapath {
namespace {

constexpr struct {
  std::string_view name;
  GroupType type;
} kTypes[] = {{"all", GroupType::all},
              {"select", GroupType::select},
              {"indirect", GroupType::indirect},
              {"ff", GroupType::fast_failover},
              {"fast_failover", GroupType::fast_failover}};
constexpr struct {
  std::string_view name;
  SelectionMethod method;
} kMethods[] = {{"dp_hash", SelectionMethod::flow},
                {"hash", SelectionMethod::hash},
                {"maglev", SelectionMethod::maglev}};
constexpr std::uint64_t kLargestTable = 65537;

bool is_prime(std::uint64_t n) {
  if (n < 2) return false;
  for (std::uint64_t d = 2; d * d <= n; ++d)
    if (n % d == 0) return false;
  return true;
}

Result<std::vector<Group::HashField>> parse_fields(const Piece& inside) {
  auto pieces = split(inside);
  if (!pieces) return pieces.error();
  std::vector<Group::HashField> out;
  for (const Piece& p : *pieces) {
    if (p.text.empty()) continue;
    const auto equals = p.text.find('=');
    auto field = field_of(p.part(0, equals));
    if (!field) return field.error();
    Group::HashField f{(*field)->id, field_ones(**field)};
    if (equals != std::string_view::npos) {
      auto mask = parse_field_value(**field, p.text.substr(equals + 1));
      if (!mask) return fail(p.from(equals + 1), mask.error().message, mask.error().remedy);
      f.mask = mask->value;
    }
    out.push_back(f);
  }
  std::sort(out.begin(), out.end(), [](auto& a, auto& b) { return a.field < b.field; });
  for (std::size_t i = 1; i < out.size(); ++i)
    if (out[i].field == out[i - 1].field)
      return fail(inside, fmt::format("{} twice", info(out[i].field).name), "write it once");
  return out;
}

Result<Bucket> parse_bucket(const Piece& text, const PortNames* names) {
  auto pieces = split(text);
  if (!pieces) return pieces.error();
  Bucket b;
  bool has_id = false;
  for (const Piece& p : *pieces) {
    if (p.text.empty()) continue;
    auto item = cut(p, ":=");
    if (!item) return item.error();
    const std::string_view name = item->name.text;
    const auto number = [&](auto& target, std::uint64_t limit) -> Result<> {
      auto n = number_up_to(item->value, limit, name);
      if (!n) return n.error();
      target = static_cast<std::remove_reference_t<decltype(target)>>(*n);
      return {};
    };
    Result<> done;
    if (item->mark != 0 && name == "bucket_id") {
      has_id = true;
      done = number(b.id, Group::kMaxId);
    } else if (item->mark != 0 && name == "weight") {
      done = number(b.weight, 0xffff);
    } else if (item->mark != 0 && name == "watch_group") {
      done = number(b.watch_group, Group::kMaxId);
    } else if (item->mark != 0 && name == "watch_port") {
      if (!find_port(item->value.text, names, b.watch_port))
        return fail(item->value, fmt::format("'{}' is not a port", item->value.text),
                    "write a number from 1 to 65279");
    } else {
      // The actions begin here and take the rest, with or without "actions=".
      const bool word = name == "actions" || name == "action";
      const Piece rest = word && item->mark == '=' ? item->value.from(0) : p;
      const auto skipped = static_cast<std::size_t>(rest.column - text.column);
      auto actions = parse_actions(text.text.substr(skipped), rest.column, names);
      if (!actions) return actions.error();
      b.actions = std::move(*actions);
      break;
    }
    if (!done) return done.error();
  }
  if (!has_id) b.id = Bucket::kNone;  // numbered by the group
  return b;
}

/// Where ",bucket=" begins outside of parentheses; the end if nowhere.
std::size_t next_bucket(std::string_view t) {
  int depth = 0;
  for (std::size_t i = 0; i < t.size(); ++i) {
    if (t[i] == '(') ++depth;
    if (t[i] == ')') --depth;
    if (t[i] != ',' || depth != 0) continue;
    std::string_view rest = t.substr(i + 1);
    while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
    if (rest.starts_with("bucket=") || rest.starts_with("buckets=")) return i;
  }
  return t.size();
}

/// What a group as a whole must be like.
Result<> check(Group& g, const Piece& all) {
  std::uint32_t next = 0;
  for (Bucket& b : g.buckets) {
    if (b.id == Bucket::kNone) {
      const auto taken = [&] {
        return std::any_of(g.buckets.begin(), g.buckets.end(),
                           [&](const Bucket& o) { return o.id == next; });
      };
      while (taken()) ++next;
      b.id = next;
    }
    if (g.type == GroupType::fast_failover && b.watch_port == Bucket::kNone &&
        b.watch_group == Bucket::kNone)
      return fail(all, fmt::format("bucket {} of a fast-failover group watches nothing", b.id),
                  "add watch_port:N or watch_group:N to it");
  }
  for (std::size_t i = 0; i < g.buckets.size(); ++i)
    for (std::size_t k = 0; k < i; ++k)
      if (g.buckets[i].id == g.buckets[k].id)
        return fail(all, fmt::format("two buckets have id {}", g.buckets[i].id),
                    "give each its own bucket_id, or leave it out");
  if (g.type == GroupType::indirect && g.buckets.size() != 1)
    return fail(all, fmt::format("an indirect group with {} buckets", g.buckets.size()),
                "it has one; type=all runs several");
  if (g.method != SelectionMethod::flow && g.type != GroupType::select)
    return fail(all, "selection_method is for type=select", "remove it");
  if (!g.fields.empty() && g.method == SelectionMethod::flow)
    return fail(all, "fields(...) without selection_method", "add selection_method=hash");
  if (g.method == SelectionMethod::hash && g.fields.empty())
    return fail(all, "selection_method=hash without fields", "add fields(ip_src,ip_dst)");
  if (g.method == SelectionMethod::maglev && g.parameter != 0) {
    if (!is_prime(g.parameter) || g.parameter > kLargestTable || g.parameter < 2 * g.buckets.size())
      return fail(all, fmt::format("a Maglev table of {} entries", g.parameter),
                  fmt::format("selection_method_param is a prime from {} to {}: 4093, say",
                              2 * g.buckets.size(), kLargestTable));
  }
  return {};
}

}  // namespace

Result<Group> parse_group(std::string_view text, const PortNames* names, int column,
                          bool need_type) {
  const std::string with_commas = blanks_to_commas(text);
  text = with_commas;
  const Piece all{text, column};
  std::size_t end = text.starts_with("bucket") ? 0 : next_bucket(text);
  Group g;
  bool has_id = false, has_type = false;
  auto settings = split(all.part(0, end));
  if (!settings) return settings.error();
  for (const Piece& p : *settings) {
    if (p.text.empty()) continue;
    auto item = cut(p, "=(");
    if (!item) return item.error();
    const std::string_view name = item->name.text;
    if (name == "group_id") {
      has_id = true;
      if (!need_type && item->value.text == "all") {
        g.id = GroupTable::kAll;
        continue;
      }
      auto n = number_up_to(item->value, Group::kMaxId, "group");
      if (!n) return n.error();
      g.id = static_cast<std::uint32_t>(*n);
    } else if (name == "type") {
      for (const auto& t : kTypes)
        if (t.name == item->value.text) {
          g.type = t.type;
          has_type = true;
        }
      if (!has_type)
        return fail(item->value, fmt::format("'{}' is not a type of group", item->value.text),
                    "one of all, select, indirect, ff");
    } else if (name == "selection_method") {
      bool known = false;
      for (const auto& m : kMethods)
        if (m.name == item->value.text) {
          g.method = m.method;
          known = true;
        }
      if (!known)
        return fail(item->value, fmt::format("'{}' is not a selection method", item->value.text),
                    "one of dp_hash, hash, maglev");
    } else if (name == "selection_method_param") {
      auto n = number_up_to(item->value, ~0ULL, "parameter");
      if (!n) return n.error();
      g.parameter = *n;
    } else if (name == "fields") {
      auto fields = parse_fields(item->value);
      if (!fields) return fields.error();
      g.fields = std::move(*fields);
    } else {
      return fail(p, fmt::format("a group has no '{}'", name),
                  did_you_mean(name,
                               {"group_id", "type", "selection_method", "selection_method_param",
                                "fields", "bucket"},
                               "it takes group_id, type, selection_method, fields, bucket"));
    }
  }
  if (!has_id && need_type) return fail(all, "a group without a number", "begin with group_id=N");
  if (!has_id) g.id = GroupTable::kAll;
  if (!has_type && need_type)
    return fail(all, "a group without a type", "add type=all, select, indirect or ff");
  while (end < text.size()) {
    Piece rest = text[end] == ',' ? trim(all.from(end + 1)) : trim(all.from(end));
    const auto equals = rest.text.find('=');
    rest = rest.from(equals + 1);
    const std::size_t length = next_bucket(rest.text);
    auto bucket = parse_bucket(rest.part(0, length), names);
    if (!bucket) return bucket.error();
    g.buckets.push_back(std::move(*bucket));
    end = static_cast<std::size_t>(rest.column - column) + length;
  }
  if (need_type)
    if (auto ok = check(g, all); !ok) return ok.error();
  return g;
}

std::string format_group(const Group& g) {
  std::string out = fmt::format("group_id={}", g.id);
  for (const auto& t : kTypes)
    if (t.type == g.type) {
      out += fmt::format(",type={}", t.name);
      break;
    }
  if (g.method != SelectionMethod::flow)
    for (const auto& m : kMethods)
      if (m.method == g.method) out += fmt::format(",selection_method={}", m.name);
  if (g.parameter != 0) out += fmt::format(",selection_method_param={}", g.parameter);
  if (!g.fields.empty()) {
    std::string inside;
    for (const auto& f : g.fields) {
      const FieldInfo& i = info(f.field);
      inside += inside.empty() ? "" : ",";
      inside += i.name;
      if (f.mask != field_ones(i)) inside += "=" + format_field_value(i, {f.mask, field_ones(i)});
    }
    out += ",fields(" + inside + ")";
  }
  return out + format_buckets(g);
}

std::string format_buckets(const Group& g) {
  std::string out;
  for (const Bucket& b : g.buckets) {
    std::string inside;
    const auto item = [&inside](const std::string& t) {
      inside += (inside.empty() ? "" : ",") + t;
    };
    if (b.id != Bucket::kNone) item(fmt::format("bucket_id:{}", b.id));
    if (b.weight != 1) item(fmt::format("weight:{}", b.weight));
    if (b.watch_port != Bucket::kNone) item(fmt::format("watch_port:{}", b.watch_port));
    if (b.watch_group != Bucket::kNone) item(fmt::format("watch_group:{}", b.watch_group));
    item("actions=" + format_actions(b.actions));
    out += ",bucket=" + inside;
  }
  return out;
}

void GroupTable::put(Group group, Time now) {
  auto installed = std::make_unique<InstalledGroup>();
  for (std::size_t i = 0; i < group.buckets.size(); ++i)
    installed->bucket_counts.push_back(std::make_shared<Counter>());
  installed->added = now;
  const std::uint32_t id = group.id;
  installed->group = std::move(group);
  groups_[id] = std::move(installed);
}

Result<> GroupTable::change_buckets(const Group& change, bool insert, std::uint32_t at) {
  const auto found = groups_.find(change.id);
  if (found == groups_.end())
    return Error{fmt::format("there is no group {}", change.id), {}, "add it before"};
  const InstalledGroup& old = *found->second;
  Group g = old.group;
  auto counts = old.bucket_counts;
  std::size_t place = at == Bucket::kFirst ? 0 : g.buckets.size();
  if (at < Group::kMaxId) {
    place = 0;
    while (place < g.buckets.size() && g.buckets[place].id != at) ++place;
    if (place == g.buckets.size())
      return Error{fmt::format("group {} has no bucket {}", g.id, at),
                   {},
                   "write the id of a bucket, first, last or all"};
    if (insert) ++place;  // behind it
  }
  if (insert) {
    g.buckets.insert(g.buckets.begin() + static_cast<std::ptrdiff_t>(place), change.buckets.begin(),
                     change.buckets.end());
    for (std::size_t i = 0; i < change.buckets.size(); ++i)
      counts.insert(counts.begin() + static_cast<std::ptrdiff_t>(place),
                    std::make_shared<Counter>());
  } else if (at == Bucket::kAll) {
    g.buckets.clear();
    counts.clear();
  } else if (!g.buckets.empty()) {
    if (at == Bucket::kLast) --place;
    g.buckets.erase(g.buckets.begin() + static_cast<std::ptrdiff_t>(place));
    counts.erase(counts.begin() + static_cast<std::ptrdiff_t>(place));
  }
  if (auto ok = check(g, {}); !ok) return ok;
  auto installed = std::make_unique<InstalledGroup>();
  installed->group = std::move(g);
  installed->count = old.count;
  installed->bucket_counts = std::move(counts);
  installed->added = old.added;
  found->second = std::move(installed);
  return {};
}

bool GroupTable::remove(std::uint32_t id) { return groups_.erase(id) != 0; }

const InstalledGroup* GroupTable::find(std::uint32_t id) const {
  const auto it = groups_.find(id);
  return it == groups_.end() ? nullptr : it->second.get();
}

bool GroupTable::is_live(const Bucket& bucket, const std::function<bool(std::uint32_t)>& port_up,
                         int depth) const {
  if (bucket.watch_port != Bucket::kNone && !port_up(bucket.watch_port)) return false;
  if (bucket.watch_group == Bucket::kNone) return true;
  const InstalledGroup* g = find(bucket.watch_group);
  if (g == nullptr || depth >= 8) return false;
  return std::any_of(g->group.buckets.begin(), g->group.buckets.end(),
                     [&](const Bucket& b) { return is_live(b, port_up, depth + 1); });
}

const std::vector<std::uint16_t>& InstalledGroup::maglev_table(
    const std::vector<bool>& live) const {
  if (table_for_ == live && !table_.empty()) return table_;
  constexpr std::uint16_t kFree = 0xffff;
  const std::uint64_t size = group.parameter != 0 ? group.parameter : Group::kMaglevSize;
  table_for_ = live;
  table_.assign(size, kFree);
  struct Turn {
    std::uint16_t bucket;
    std::uint64_t at, skip, credit, weight;
  };
  std::vector<Turn> turns;
  std::uint64_t heaviest = 0;
  for (std::size_t i = 0; i < group.buckets.size(); ++i) {
    const Bucket& b = group.buckets[i];
    if (!live[i] || b.weight == 0) continue;
    // By the bucket's own id: who its neighbours are does not matter.
    const std::uint64_t h = fold_multiply(b.id ^ 0xA0761D6478BD642FULL, 0xE7037ED1A0B428DBULL);
    const std::uint64_t k = fold_multiply(b.id ^ 0x8EBC6AF09C88C6E3ULL, 0x589965CC75374CC3ULL);
    turns.push_back({static_cast<std::uint16_t>(i), h % size, k % (size - 1) + 1, 0, b.weight});
    heaviest = std::max<std::uint64_t>(heaviest, b.weight);
  }
  std::uint64_t filled = 0;
  while (filled < size && !turns.empty()) {
    for (Turn& t : turns) {
      t.credit += t.weight;
      if (t.credit < heaviest) continue;
      t.credit -= heaviest;
      while (table_[t.at] != kFree) t.at = (t.at + t.skip) % size;
      table_[t.at] = t.bucket;
      if (++filled == size) break;
    }
  }
  return table_;
}

std::uint64_t group_hash(const Group& group, const FlowKey& key, FlowMask& looked_at) {
  std::uint64_t h =
      fold_multiply(group.id ^ 0x1D8E4E27C47D124FULL, group.parameter ^ 0xEB44ACCAB455D165ULL);
  const auto hash = [&](unsigned word, std::uint64_t bits) {
    looked_at.w[word] |= bits;
    h = fold_multiply(h ^ (key.w[word] & bits), 0xA0761D6478BD642FULL + 2 * word);
  };
  if (!group.fields.empty()) {
    for (const Group::HashField& f : group.fields) {
      const FieldInfo& i = info(f.field);
      look_at_prerequisites(looked_at, i.needs);
      if (!prerequisites_hold(i.needs, key)) continue;
      FlowKey bits;
      write_field(bits, i, f.mask);
      for (unsigned w = 0; w < kKeyWords; ++w)
        if (bits.w[w] != 0) hash(w, bits.w[w]);
    }
  } else {
    look_at(looked_at, place::eth_type);
    if (key.is_ip4() || key.is_ip6()) {
      for (unsigned w = place::ip_src; w < place::ip_dst + 2; ++w) hash(w, ~0ULL);
      hash(place::nw_proto.word, place::nw_proto.ones());
      look_at_prerequisites(looked_at, Prerequisite::ports);
      if (prerequisites_hold(Prerequisite::ports, key))
        hash(place::tp_src.word, 0xffffffffULL << 32);
    } else {
      hash(place::eth_dst.word, place::eth_dst.ones());
      hash(place::eth_src.word, ~0ULL);
    }
  }
  return fold_multiply(h ^ 0x8EBC6AF09C88C6E3ULL, 0x9E3779B97F4A7C15ULL);
}

int select_bucket(const InstalledGroup& installed, std::uint64_t hash,
                  const std::vector<bool>& live) {
  const Group& g = installed.group;
  const auto scaled = [hash](std::uint64_t n) {
    return static_cast<std::uint64_t>(static_cast<unsigned __int128>(hash) * n >> 64);
  };
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < g.buckets.size(); ++i)
    if (live[i]) total += g.buckets[i].weight;
  if (total == 0) return -1;
  if (g.method == SelectionMethod::maglev) {
    const auto& table = installed.maglev_table(live);
    return table[scaled(table.size())];
  }
  std::uint64_t place = scaled(total);
  for (std::size_t i = 0; i < g.buckets.size(); ++i) {
    if (!live[i]) continue;
    if (place < g.buckets[i].weight) return static_cast<int>(i);
    place -= g.buckets[i].weight;
  }
  return -1;
}

}  // namespace weft::datapath
