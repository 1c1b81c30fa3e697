// What match expressions mean: evaluation on one packet, and conversion to matches of OpenFlow.
//
// A Resolver says what names stand for: the members of address sets and port groups, and for a
// port the packets that come from it or go to it (reg14=0x5). A port that it does not know matches
// no packet, as in OVN; a set or group that it does not know is an error.
//
// to_matches gives a list of matches of which one applies to a packet iff the expression is true of
// it. Each match says what its fields need (tcp, ipv6...), contradictions are gone, so are
// duplicates and matches that lie within another one. The list is sorted: equal expressions over
// equal names give equal lists.
//
//  - ranges become the fewest prefixes, != the prefixes around its values;
//  - && multiplies, and can multiply a lot: $a in one field and $b in another is |a| * |b| matches.
//    More than Limits::matches is an error and costs no more than about that many.
//
// **Element by element.** If an expression is a conjunction and one of its conditions is
// `field == $set` or `inport == @group` (alone on its right side), and the name appears nowhere
// else, then its packets are the union over the members of the set: what one member adds is a
// function of that member alone. splittable_references names such sets, and the last form of
// to_matches gives what one member adds. So when a set of 5,000 gets a member, only the matches of
// this member are computed:
//
//   if (auto reference = splittable_reference(acl))
//     for (const Element& e : added) install(to_matches(acl, names, *reference, e));
//
// The lists of two members may share matches (10.0.0.0/8 and 10.0.0.0/16: one lies within the
// other), so whoever installs them counts owners.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "control/cube.h"
#include "control/expression.h"

namespace weft::control {

enum class PortSide : std::uint8_t { in, out };

class Resolver {
 public:
  virtual ~Resolver() = default;
  /// The members; none: there is no such set.
  virtual std::optional<std::vector<Constant>> address_set(std::string_view name) const = 0;
  /// The names of its ports; none: there is no such group.
  virtual std::optional<std::vector<std::string>> port_group(std::string_view name) const = 0;
  /// The packets that come in at the port, or go out there; none: there is no such port.
  virtual std::optional<Cube> port(PortSide side, std::string_view name) const = 0;
  /// Whether the port is on this hypervisor (is_chassis_resident).
  virtual bool is_resident(std::string_view port) const = 0;
};

/// Names in maps; ports are keys of two registers.
struct NameTable : Resolver {
  std::map<std::string, std::vector<Constant>, std::less<>> address_sets;
  std::map<std::string, std::vector<std::string>, std::less<>> port_groups;
  std::map<std::string, std::uint32_t, std::less<>> ports;
  std::set<std::string, std::less<>> residents;
  datapath::Field in_register = datapath::Field::reg14, out_register = datapath::Field::reg15;

  std::optional<std::vector<Constant>> address_set(std::string_view name) const override;
  std::optional<std::vector<std::string>> port_group(std::string_view name) const override;
  std::optional<Cube> port(PortSide side, std::string_view name) const override;
  bool is_resident(std::string_view port) const override;
};

struct Limits {
  std::size_t matches = 200'000;
};

/// Whether the expression is true of a packet, straight from its definition.
Result<bool> evaluate(const Expression& expression, const Resolver& names,
                      const datapath::FlowKey& packet);

Result<CubeSet> to_cubes(const Expression& expression, const Resolver& names, Limits limits = {});
Result<std::vector<datapath::Match>> to_matches(const Expression& expression, const Resolver& names,
                                                Limits limits = {});

/// A set whose members can be taken one by one.
struct Reference {
  Operand::Kind kind = Operand::Kind::address_set;  ///< or port_group
  std::string name;
  bool operator==(const Reference&) const = default;
};
/// All of them, in the order of the text; and the first.
std::vector<Reference> splittable_references(const Expression& expression);
std::optional<Reference> splittable_reference(const Expression& expression);

/// A member of a set: a number, or the name of a port.
struct Element {
  Constant constant{};
  std::string port{};
  bool operator==(const Element&) const = default;
};

/// `names` with the set of `reference` having just one member. Both must outlive it.
class OneElement : public Resolver {
 public:
  OneElement(const Resolver& names, const Reference& reference, const Element& element)
      : names_(names), reference_(reference), element_(element) {}
  std::optional<std::vector<Constant>> address_set(std::string_view name) const override;
  std::optional<std::vector<std::string>> port_group(std::string_view name) const override;
  std::optional<Cube> port(PortSide side, std::string_view name) const override {
    return names_.port(side, name);
  }
  bool is_resident(std::string_view port) const override { return names_.is_resident(port); }

 private:
  const Resolver& names_;
  const Reference& reference_;
  const Element& element_;
};

/// What `element` alone contributes; `reference` must be one of splittable_references.
Result<std::vector<datapath::Match>> to_matches(const Expression& expression, const Resolver& names,
                                                const Reference& reference, const Element& element,
                                                Limits limits = {});

}  // namespace weft::control
