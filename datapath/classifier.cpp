#include "datapath/classifier.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace weft::datapath {
namespace {

/// A field with a trie: 32 or 128 bits at the end of two words.
struct TrieField {
  unsigned word;  // high
  bool v6;
};
constexpr TrieField kTrieFields[] = {
    {place::ip_src, false}, {place::ip_dst, false}, {place::ip_src, true}, {place::ip_dst, true}};

/// Left-aligned.
Ip6 trie_value(const FlowKey& key, const TrieField& f) {
  const Ip6 v = key.get128(f.word);
  return f.v6 ? v : Ip6{v.low << 32, 0};
}

/// Length of the mask as a prefix of the field; 0: it is none, or belongs to the other family.
unsigned prefix_length(const FlowMask& mask, const TrieField& f) {
  const Ip6 m = mask.get128(f.word);
  if (f.v6 != (m.high != 0)) return 0;
  if (!f.v6 && m.low >> 32 != 0) return 0;
  const Ip6 v = trie_value(mask, f);
  const unsigned n = static_cast<unsigned>(std::popcount(v.high) + std::popcount(v.low));
  return v == leading_bits(n) ? n : 0;
}

FlowMask trie_witness(const TrieField& f, unsigned bits) {
  FlowMask m;
  const Ip6 b = leading_bits(bits);
  if (f.v6) {
    m.set128(f.word, b);
  } else {
    m.w[f.word + 1] = b.high >> 32;
  }
  return m;
}

constexpr bool kPortsTogether = place::tp_src.word == place::tp_dst.word;
static_assert(kPortsTogether);

/// (tp_src, tp_dst), left-aligned.
Ip6 ports_of(const FlowKey& key) {
  return {key.get(place::tp_src) << 48 | key.get(place::tp_dst) << 32, 0};
}
std::uint64_t ports_word(std::uint64_t ports) {
  return (ports >> 48) << place::tp_src.shift | (ports >> 32 & 0xffff) << place::tp_dst.shift;
}

}  // namespace

// --- one lookup ---

struct Classifier::Search {
  const Classifier& c;
  const FlowKey& key;
  FlowMask& looked_at;
  std::array<PrefixTrie::Found, kTries> found{};
  std::array<bool, kTries> asked{};

  /// Index of the best matching entry, or kNone. Adds what the answer rests on.
  std::uint32_t probe(const Subtable& s) {
    const StagedMask& m = s.staged;
    std::uint64_t h = StagedMask::kStart;
    unsigned from = 0;
    for (unsigned stage = 0;; ++stage) {
      if (stage == s.trie_stage && c.options_.prefix_tracking && excluded_by_trie(s)) return kNone;
      h = m.hash_on(h, key, from, m.end[stage]);
      from = m.end[stage];
      if (stage + 1u == m.stages) break;
      if (!s.partial[stage].contains(StagedMask::finish(h))) {
        look(m, from);
        return kNone;
      }
    }
    std::uint32_t best = kNone;
    s.index.for_each(StagedMask::finish(h), [&](std::uint32_t at) {
      if ((best == kNone || s.entries[at].priority > s.entries[best].priority) &&
          s.value_is(at, key))
        best = at;
    });
    if (best == kNone && s.ports_length != 0 && excluded_by_ports(s)) return kNone;
    look(m, m.count);
    return best;
  }

 private:
  void look(const StagedMask& m, unsigned count) {
    for (unsigned i = 0; i < count; ++i) looked_at.w[m.word[i]] |= m.bits[i];
  }
  unsigned fresh_bits(const FlowMask& witness, unsigned word) const {
    return static_cast<unsigned>(std::popcount(witness.w[word] & ~looked_at.w[word]) +
                                 std::popcount(witness.w[word + 1] & ~looked_at.w[word + 1]));
  }
  /// If no rule has a prefix of this subtable's length that contains the address: adds the bits of
  /// the address that say so, of the field that needs the fewest new ones.
  bool excluded_by_trie(const Subtable& s) {
    unsigned fewest = ~0u;
    FlowMask witness;
    for (unsigned f = 0; f < kTries; ++f) {
      const unsigned length = s.prefix_length[f];
      if (length == 0) continue;
      const TrieField& field = kTrieFields[f];
      if (!asked[f]) {
        found[f] = c.tries_[f].lookup(trie_value(key, field));
        asked[f] = true;
      }
      if (found[f].has(length)) continue;
      // What a prefix of this length contains depends on so many bits at most.
      const FlowMask w = trie_witness(field, std::min(found[f].bits, length));
      const unsigned fresh = fresh_bits(w, field.word);
      if (fresh >= fewest) continue;
      fewest = fresh;
      witness = w;
    }
    if (fewest == ~0u) return false;
    for (unsigned w = place::ip_src; w < place::ip_dst + 2; ++w) looked_at.w[w] |= witness.w[w];
    return true;
  }
  /// The same for the ports, once the whole subtable has no match.
  bool excluded_by_ports(const Subtable& s) {
    const Ip6 mask = ports_of(s.mask);
    const PrefixTrie::Found found_ports = s.ports.lookup({ports_of(key).high & mask.high, 0});
    if (found_ports.has(s.ports_length)) return false;  // a rule has these ports
    looked_at.w[place::tp_src.word] |= ports_word(
        leading_bits(std::min<unsigned>(found_ports.bits, s.ports_length)).high & mask.high);
    return true;
  }
};

std::uint32_t Classifier::lookup(const FlowKey& key, FlowMask& looked_at) const {
  Search search{*this, key, looked_at};
  const Subtable* best = nullptr;
  Entry winner;
  for (const auto& s : subtables_) {
    if (best != nullptr && options_.priority_sorting &&
        (s->max_priority < winner.priority ||
         (s->max_priority == winner.priority && s->mask < best->mask)))
      break;
    const std::uint32_t at = search.probe(*s);
    if (at == kNone) continue;
    const Entry& e = s->entries[at];
    // Equal priority: the subtable found first has the greater mask or the greater top priority;
    // only the masks may decide.
    if (best != nullptr &&
        (e.priority < winner.priority || (e.priority == winner.priority && s->mask < best->mask)))
      continue;
    best = s.get();
    winner = e;
  }
  return best == nullptr ? kNone : winner.owner;
}

// --- rules come and go ---

Classifier::Subtable* Classifier::subtable_of(const FlowMask& mask) const {
  for (const auto& s : subtables_)
    if (s->mask == mask) return s.get();
  return nullptr;
}

Classifier::Subtable& Classifier::make_subtable(const FlowMask& mask) {
  auto fresh = std::make_unique<Subtable>();
  fresh->mask = mask;
  fresh->staged = StagedMask(mask, options_.staged_lookup);
  if (options_.prefix_tracking)
    for (unsigned f = 0; f < kTries; ++f)
      fresh->prefix_length[f] = static_cast<std::uint8_t>(prefix_length(mask, kTrieFields[f]));
  // The tries are asked when the lookup comes to the stage of the addresses.
  const StagedMask& m = fresh->staged;
  if (options_.staged_lookup)
    while (fresh->trie_stage + 1u < m.stages && m.stage[fresh->trie_stage] < Stage::l3)
      ++fresh->trie_stage;
  if (const std::uint64_t ports = ports_of(mask).high; options_.port_tries && ports != 0)
    fresh->ports_length = static_cast<std::uint8_t>(64 - std::countr_zero(ports));
  subtables_.push_back(std::move(fresh));
  return *subtables_.back();
}

void Classifier::sort() {
  std::sort(subtables_.begin(), subtables_.end(), [](const auto& a, const auto& b) {
    if (a->max_priority != b->max_priority) return a->max_priority > b->max_priority;
    return a->mask > b->mask;
  });
}

std::uint32_t Classifier::count_in(Subtable& s, const FlowKey& value, bool add) {
  const StagedMask& m = s.staged;
  const auto change = [add](PrefixTrie& trie, Ip6 v, unsigned length) {
    if (add) {
      trie.insert(v, length);
    } else {
      trie.remove(v, length);
    }
  };
  for (unsigned f = 0; f < kTries; ++f)
    if (s.prefix_length[f] != 0)
      change(tries_[f], trie_value(value, kTrieFields[f]), s.prefix_length[f]);
  if (s.ports_length != 0) change(s.ports, ports_of(value), s.ports_length);
  std::uint64_t h = StagedMask::kStart;
  unsigned from = 0;
  for (unsigned stage = 0; stage < m.stages; ++stage) {
    h = m.hash_on(h, value, from, m.end[stage]);
    from = m.end[stage];
    if (stage + 1u == m.stages) break;
    if (add) {
      s.partial[stage].add(StagedMask::finish(h));
    } else {
      s.partial[stage].remove(StagedMask::finish(h));
    }
  }
  return StagedMask::finish(h);
}

void Classifier::insert(const Match& match, std::uint16_t priority, std::uint32_t owner) {
  Subtable* s = subtable_of(match.mask);
  const bool fresh = s == nullptr;
  if (fresh) s = &make_subtable(match.mask);
  std::uint32_t at;
  if (s->free.empty()) {
    at = static_cast<std::uint32_t>(s->entries.size());
    s->entries.emplace_back();
    s->values.resize(s->values.size() + s->staged.count);
  } else {
    at = s->free.back();
    s->free.pop_back();
  }
  s->entries[at] = {owner, priority};
  for (unsigned i = 0; i < s->staged.count; ++i)
    s->values[std::size_t{at} * s->staged.count + i] =
        match.value.w[s->staged.word[i]] & s->staged.bits[i];
  s->index.insert(count_in(*s, match.value, true), at);
  ++s->priorities[priority];
  ++size_;
  if (fresh || priority > s->max_priority) {
    s->max_priority = s->priorities.rbegin()->first;
    sort();
  }
}

std::uint32_t Classifier::entry_of(const Subtable& s, const Match& match, std::uint16_t priority,
                                   std::uint32_t hash) const {
  return s.index.find(hash, [&](std::uint32_t i) {
    return s.entries[i].priority == priority && s.value_is(i, match.value);
  });
}

std::uint32_t Classifier::find(const Match& match, std::uint16_t priority) const {
  const Subtable* s = subtable_of(match.mask);
  if (s == nullptr) return kNone;
  const StagedMask& m = s->staged;
  const std::uint32_t hash =
      StagedMask::finish(m.hash_on(StagedMask::kStart, match.value, 0, m.count));
  const std::uint32_t at = entry_of(*s, match, priority, hash);
  return at == HashIndex::kNone ? kNone : s->entries[at].owner;
}

std::uint32_t Classifier::remove(const Match& match, std::uint16_t priority) {
  Subtable* s = subtable_of(match.mask);
  if (s == nullptr) return kNone;
  const StagedMask& m = s->staged;
  const std::uint32_t hash =
      StagedMask::finish(m.hash_on(StagedMask::kStart, match.value, 0, m.count));
  const std::uint32_t at = entry_of(*s, match, priority, hash);
  if (at == HashIndex::kNone) return kNone;
  const std::uint32_t owner = s->entries[at].owner;
  s->index.erase(count_in(*s, match.value, false), at);
  s->free.push_back(at);
  --size_;
  const auto count = s->priorities.find(priority);
  WEFT_CHECK(count != s->priorities.end());
  if (--count->second == 0) s->priorities.erase(count);
  if (s->priorities.empty()) {
    std::erase_if(subtables_, [s](const auto& p) { return p.get() == s; });
  } else if (s->priorities.rbegin()->first != s->max_priority) {
    s->max_priority = s->priorities.rbegin()->first;
    sort();
  }
  return owner;
}

std::size_t Classifier::memory_bytes() const {
  std::size_t n = sizeof(*this) + subtables_.capacity() * sizeof(void*);
  for (const PrefixTrie& t : tries_) n += t.memory_bytes();
  for (const auto& s : subtables_) {
    n += sizeof(Subtable) + s->ports.memory_bytes() + s->index.memory_bytes() +
         s->entries.capacity() * sizeof(Entry) + s->values.capacity() * sizeof(std::uint64_t) +
         s->free.capacity() * sizeof(std::uint32_t);
    for (const HashCounter& p : s->partial) n += p.memory_bytes();
  }
  return n;
}

}  // namespace weft::datapath
