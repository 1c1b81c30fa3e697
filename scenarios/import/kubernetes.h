// Kubernetes NetworkPolicy (networking.k8s.io/v1) as groups, address sets and ACLs.
//
// Read are Namespace, Pod, NetworkPolicy and lists of them, as
//   kubectl get namespaces,pods,networkpolicies -A -o yaml
// prints them, in one file of several documents. Of a pod count its names, labels, addresses
// (status.podIPs), node (spec.nodeName) and named container ports; of a namespace its labels, to
// which the API server adds kubernetes.io/metadata.name; of a policy everything.
//
// All pods are ports of one network, "pods": Kubernetes promises them a flat network. A policy
// makes a group of the pods that it selects; for each direction that it isolates, a rule that drops
// (priority 1000) and one that allows for each of its rules (1001). So policies add up: what any of
// them allows is allowed, and a pod that none selects is not isolated. Peers become address sets.
#pragma once

#include <string>

#include "scenarios/import/import.h"

namespace weft::imports {

inline constexpr const char* kKubernetesTenant = "kubernetes";
inline constexpr const char* kPodNetwork = "pods";

/// Whether the text begins with `apiVersion:` and `kind:` on the first level, as YAML or JSON.
bool looks_like_kubernetes(const std::string& text);

}  // namespace weft::imports
