// Rules and packets at random, from small sets of values so that they meet.
#pragma once

#include <string>
#include <vector>

#include "tests/unit/datapath/frames.h"

namespace weft::test {

class RandomRules {
 public:
  explicit RandomRules(std::uint64_t seed) : random_{seed * 0x9E3779B97F4A7C15ULL + 1} {}

  std::uint64_t below(std::uint64_t n) { return random_.below(n); }

  template <std::size_t N>
  std::string one_of(const char* const (&choices)[N]) {
    return choices[below(N)];
  }

  /// A match on packets (and registers, if `registers`), as text.
  std::string match(bool registers) {
    std::string m;
    const auto add = [&m](const std::string& t) { m += (m.empty() ? "" : ",") + t; };
    const bool v6 = below(5) == 0;
    const auto kind = below(6);
    if (kind == 0) {
      // everything
    } else if (kind == 1 && below(3) == 0) {
      add("arp");
      if (below(2) == 0) add("arp_op=" + std::to_string(1 + below(2)));
    } else {
      const char* const kinds4[] = {"ip", "tcp", "udp", "icmp", "tcp", "udp"};
      const char* const kinds6[] = {"ipv6", "tcp6", "udp6", "icmp6", "tcp6", "udp6"};
      const auto k = below(6);
      add(v6 ? kinds6[k] : kinds4[k]);
      const char* const masks4[] = {"", "/8", "/24", "/31", "/0xff0000ff"};
      const char* const masks6[] = {"", "/8", "/64", "/127"};
      for (const char* side : {"src", "dst"}) {
        if (below(3) != 0) continue;
        if (v6)
          add(std::string("ipv6_") + side + "=fd00::" + std::to_string(1 + below(4)) +
              one_of(masks6));
        else
          add(std::string("nw_") + side + "=10.0." + std::to_string(below(2)) + "." +
              std::to_string(1 + below(4)) + one_of(masks4));
      }
      if ((k == 1 || k == 2 || k == 4 || k == 5) && below(2) == 0) {
        const char* const masks[] = {"", "/0xfffe", "/0xff00"};
        add(std::string(below(2) == 0 ? "tp_src=" : "tp_dst=") + std::to_string(80 + below(3)) +
            one_of(masks));
      }
      if (k == 3 && below(2) == 0) add("icmp_type=" + std::to_string(below(2) * 8));
      if (below(6) == 0) add("nw_ttl=64");
      if (below(8) == 0) add("nw_tos=0");
      if ((k == 1 || k == 4) && below(4) == 0) add("tcp_flags=+syn-ack");
    }
    if (below(4) == 0) add("in_port=" + std::to_string(1 + below(4)));
    if (below(8) == 0) add("dl_vlan=100");
    if (below(8) == 0) add("dl_dst=00:00:00:00:00:00/01:00:00:00:00:00");
    if (registers && below(3) == 0) {
      const char* const masks[] = {"", "/0x1", "/0x3"};
      add("reg" + std::to_string(below(3)) + "=" + std::to_string(below(4)) + one_of(masks));
    }
    if (registers && below(4) == 0) {
      const char* const states[] = {"+trk", "+trk+new", "+trk+est", "+trk-rpl", "-trk", "+rpl"};
      add("ct_state=" + one_of(states));
    }
    if (registers && below(8) == 0) add("ct_mark=" + std::to_string(below(2)));
    if (registers && below(12) == 0) add("ct_label=" + std::to_string(below(2)) + "/0x3");
    if (registers && below(12) == 0) add("ct_nw_src=10.0.0." + std::to_string(1 + below(4)));
    if (registers && below(12) == 0) add("ct_tp_dst=" + std::to_string(80 + below(3)));
    if (registers && below(16) == 0) add("ct_nw_proto=6");
    return m;
  }

  /// Actions of a rule of table `table` with this match; resubmits go to later tables of `tables`
  /// ones.
  std::string actions(unsigned table, unsigned tables, const std::string& match) {
    const std::string kind = match.substr(0, match.find(','));
    const bool ip4 = kind == "ip" || kind == "tcp" || kind == "udp" || kind == "icmp";
    const bool ip6 = kind == "ipv6" || kind == "tcp6" || kind == "udp6" || kind == "icmp6";
    const std::string source = ip4 ? "NXM_OF_IP_SRC" : "NXM_OF_ETH_SRC";
    const std::string target = ip4 ? "NXM_OF_IP_DST" : "NXM_OF_ETH_DST";
    std::string a;
    const auto add = [&a](const std::string& t) { a += (a.empty() ? "" : ",") + t; };
    if (below(8) == 0) return "drop";
    if (below(10) == 0) return "drop(policy)";
    const auto port = [this] { return std::to_string(1 + below(4)); };
    const auto reg = [this] { return "reg" + std::to_string(below(3)); };
    const auto value = [this] { return std::to_string(below(4)); };
    for (auto n = 1 + below(3); n > 0; --n) {
      switch (below(22)) {
        case 0:
          add("set_field:" + value() + "->" + reg());
          break;
        case 1:
          add("load:0x" + std::to_string(below(2)) + "->NXM_NX_REG0[1]");
          break;
        case 2:
          add("move:NXM_OF_IN_PORT[0..1]->NXM_NX_REG1[0..1]");
          break;
        case 3:
          add("move:" + target + "[0..1]->NXM_NX_REG2[0..1]");
          break;
        case 4:
          add("mod_dl_dst:02:00:00:00:00:0" + std::to_string(1 + below(4)));
          break;
        case 5:
          add("mod_nw_dst:10.0.1." + std::to_string(1 + below(4)));
          break;
        case 6:
          add("mod_tp_dst:" + std::to_string(80 + below(3)));
          break;
        case 7:
          add("dec_ttl");
          break;
        case 8:
          add("output:" + port());
          break;
        case 9:
          add("move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]");
          break;
        case 10:
          if (ip6) add("set_field:fd00::" + std::to_string(1 + below(4)) + "->ipv6_src");
          if (!ip6) add("push_vlan:" + std::string(below(2) == 0 ? "0x8100" : "0x88a8"));
          break;
        case 11:
          add(below(2) == 0 ? "pop_vlan" : "mod_vlan_vid:" + std::to_string(100 + below(2)));
          break;
        case 12:
          // Group 2 leads to the last table.
          if (const auto g = 1 + below(6); g != 2 || table + 1 < tables)
            add("group:" + std::to_string(g));
          break;
        case 13:
          add("meter:" + std::to_string(1 + below(2)));
          break;
        case 14:
          add("learn(table=" + std::to_string(tables - 1) +
              ",priority=" + std::to_string(below(5)) + (below(2) == 0 ? ",NXM_OF_IN_PORT[]" : "") +
              ",NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[]" +
              (below(2) == 0 ? ",NXM_NX_REG0[0..1]=NXM_NX_REG1[0..1]" : "") + ",load:" + source +
              "[0..7]->NXM_NX_REG2[0..7],output:NXM_OF_IN_PORT[])");
          break;
        case 15:
          add("clone(" + std::string(below(2) == 0 ? "dec_ttl," : "mod_vlan_vid:7,") +
              (below(3) == 0 ? "meter:1," : "") +
              (below(4) == 0 ? "set_field:1->reg0)" : "output:" + port() + ")"));
          break;
        case 16:
          add("push:NXM_NX_REG" + std::to_string(below(3)) + "[]");
          if (below(2) == 0) add("pop:" + target + "[0..1]");
          break;
        case 17:
          add(below(2) == 0 ? "pop:NXM_NX_REG0[0..3]" : "controller(id=1)");
          break;
        default:
          if (table + 1 < tables)
            add("resubmit(," + std::to_string(table + 1 + below(tables - table - 1)) + ")");
      }
    }
    if ((ip4 || ip6) && table + 1 < tables && below(3) == 0) {
      const auto next = std::to_string(table + 1 + below(tables - table - 1));
      const auto zone = below(2) == 0 ? "zone=" + std::to_string(below(2)) : "zone=NXM_NX_REG0[]";
      if (below(2) == 0)
        add("ct(commit," + std::string(below(6) == 0 ? "force," : "") + zone + ",table=" + next +
            ",exec(set_field:" + value() + "->ct_mark" +
            (below(3) == 0 ? ",set_field:" + value() + "->ct_label" : "") + "))");
      else
        add("ct(table=" + next + "," + zone + ")");
    } else if (below(2) == 0) {
      add(below(3) == 0 ? "output:NXM_NX_REG0[]" : "output:" + port());
    }
    return a.empty() ? "drop" : a;
  }

  /// Groups 1 to 5, meters 1 and 2, two mirrors; a line each. There is no group 6.
  std::vector<std::string> surroundings() {
    const auto port = [this] { return std::to_string(1 + below(4)); };
    const auto weight = [this] { return "weight:" + std::to_string(1 + below(3)) + ","; };
    std::vector<std::string> out;
    out.push_back("group group_id=1,type=all,bucket=dec_ttl,output:" + port() +
                  ",bucket=watch_port:" + port() +
                  ",mod_dl_dst:02:00:00:00:00:07,output:" + port());
    out.push_back("group group_id=2,type=select,bucket=" + weight() + "output:" + port() +
                  ",bucket=" + weight() + "set_field:7->reg0,resubmit(,3)");
    out.push_back(
        "group group_id=3,type=select,selection_method=hash,fields(ip_src,tcp_dst=1)"
        ",bucket=" +
        weight() + "watch_port:2,output:" + port() + ",bucket=" + weight() + "group:4");
    out.push_back(
        "group group_id=4,type=ff,bucket=watch_port:2,output:2,bucket=watch_port:3,"
        "meter:2,set_field:10.0.0.9->ip_src,output:" +
        port());
    out.push_back("group group_id=5,type=indirect,bucket=watch_group:4,ct(commit,zone=3),output:" +
                  port());
    out.push_back("meter meter=1,pktps,burst,band=type=drop,rate=20,burst_size=3");
    out.push_back("meter meter=2,pktps,burst,band=type=drop,rate=7,burst_size=1");
    out.push_back("mirror name=in,select_src_port=" + std::to_string(1 + below(3)) +
                  ",output_port=4");
    out.push_back("mirror name=out,select_dst_port=" + std::to_string(1 + below(3)) +
                  ",output_port=4");
    return out;
  }

  std::string rule(unsigned tables) {
    const auto table = static_cast<unsigned>(below(tables));
    std::string m = match(true);
    return "table=" + std::to_string(table) + ",priority=" + std::to_string(below(5)) +
           ",cookie=" + std::to_string(below(100)) + (m.empty() ? "" : "," + m) +
           ",actions=" + actions(table, tables, m);
  }

  FlowSpec packet() {
    FlowSpec f;
    f.is6 = below(5) == 0;
    const std::uint8_t protocols[] = {wire::kProtoTcp, wire::kProtoUdp, wire::kProtoIcmp};
    f.protocol = protocols[below(3)];
    if (f.protocol == wire::kProtoIcmp) {
      f.icmp_type = below(2) == 0 ? 8 : 0;
      if (f.is6) {
        f.protocol = wire::kProtoIcmpv6;
        f.icmp_type = below(2) == 0 ? 128 : 129;
      }
    }
    f.src = address(f.is6);
    f.dst = address(f.is6);
    f.src_port = static_cast<std::uint16_t>(80 + below(3));
    f.dst_port = static_cast<std::uint16_t>(80 + below(3));
    f.tcp_flags = below(2) == 0 ? wire::TcpHeader::kSyn : wire::TcpHeader::kAck;
    f.tos = below(4) == 0 ? 0x10 : 0;
    f.vlan = below(6) == 0;
    f.payload = static_cast<std::uint32_t>(below(3) * 50);
    return f;
  }

 private:
  std::uint32_t address(bool is6) {
    if (is6) return static_cast<std::uint32_t>(1 + below(4));
    return 0x0a000000 + static_cast<std::uint32_t>(below(2) << 8 | (1 + below(4)));
  }
  Lcg random_;
};

}  // namespace weft::test
