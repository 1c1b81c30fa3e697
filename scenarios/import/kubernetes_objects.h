// Kubernetes objects as values, read from YAML (kubernetes_objects.cpp); what they mean is said in
// kubernetes.cpp.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/net_types.h"
#include "scenarios/loader/reader.h"

namespace weft::imports::k8s {

using Labels = std::map<std::string, std::string>;

struct Requirement {
  enum class Operator : std::uint8_t { in, not_in, exists, does_not_exist };
  std::string key;
  Operator op = Operator::in;
  std::vector<std::string> values;
};
struct Selector {
  Labels labels;
  std::vector<Requirement> requirements;
  bool selects(const Labels& labels) const;
};

struct ContainerPort {
  std::string name;
  std::string protocol;  ///< "TCP", "UDP"; others as they are written
  std::uint16_t number = 0;
};
struct Pod {
  std::string space, name;  ///< `space`: its namespace
  Labels labels;
  std::vector<IpAddress> addresses;
  std::string node;
  std::vector<ContainerPort> ports;
  Place place;
  std::string full_name() const { return space + "/" + name; }
};
struct Namespace {
  std::string name;
  Labels labels;
  Place place;
};

struct Peer {
  std::optional<Selector> pods, spaces;
  std::optional<Prefix> block;
  std::vector<Prefix> except;
};
struct PolicyPort {
  std::string protocol = "TCP";
  std::optional<std::uint16_t> first, last;  ///< a number, or a range of them
  std::string name;                          ///< or a container port's name; neither: all
};
struct Rule {
  std::vector<Peer> peers;        ///< empty: everyone
  std::vector<PolicyPort> ports;  ///< empty: everything
  Place place;
};
struct Policy {
  std::string space, name;
  Selector pods;
  bool isolates_ingress = false, isolates_egress = false;
  std::vector<Rule> ingress, egress;
  Place place;
  std::string full_name() const { return space + "/" + name; }
};

struct Objects {
  std::map<std::string, Namespace> spaces;
  std::map<std::string, Pod> pods;         ///< by full name
  std::map<std::string, Policy> policies;  ///< by full name
  std::vector<std::string> finished;       ///< pods that have ended and are no longer there
};

void read_objects(const std::string& text, const std::string& file, Objects& out,
                  scenarios::Diagnostics& diag);

}  // namespace weft::imports::k8s
