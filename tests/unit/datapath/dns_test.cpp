// DNS answers of the switch. The frames were made with scapy.
#include "datapath/dns.h"

#include "datapath/checksum.h"
#include "tests/catch.h"
#include "tests/unit/datapath/switch_lab.h"

namespace weft::test {
namespace {

struct Exchange {
  const char* what;
  const char* question;
  const char* answer;  // "": none
};

constexpr Exchange kExchanges[] = {
    {"A, in mixed case",
     "02000000000902000000000508004500003500010000401166aa0a0000050a00000910e1003500214362"
     "beef0100000100000000000003566d31034c61620000010001",
     "020000000005020000000009080045000045000000004011669b0a0000090a000005003510e100316c76"
     "beef8500000100010000000003566d31034c61620000010001c00c000100010000003c00040a000004"},
    {"AAAA",
     "02000000000902000000000508004500003500010000401166aa0a0000050a00000910e1003500212822"
     "beef0100000100000000000003766d31036c616200001c0001",
     "020000000005020000000009080045000051000000004011668f0a0000090a000005003510e1003d292b"
     "beef8500000100010000000003766d31036c616200001c0001c00c001c00010000003c0010fd00000000"
     "0000000000000000000004"},
    {"ANY",
     "02000000000902000000000508004500003500010000401166aa0a0000050a00000910e1003500214521"
     "beef0100000100000000000003766d31036c61620000ff0001",
     "020000000005020000000009080045000061000000004011667f0a0000090a000005003510e1004df33e"
     "beef8500000100020000000003766d31036c61620000ff0001c00c000100010000003c00040a000004c0"
     "0c001c00010000003c0010fd000000000000000000000000000004"},
    {"a name without such an address",
     "02000000000902000000000508004500003500010000401166aa0a0000050a00000910e1003500212821"
     "beef0100000100000000000003766d32036c616200001c0001",
     "02000000000502000000000908004500003500000000401166ab0a0000090a000005003510e10021a420"
     "beef8500000100000000000003766d32036c616200001c0001"},
    {"PTR, IPv4",
     "020000000009020000000005080045000043000100004011669c0a0000050a00000910e10035002f98a3"
     "beef0100000100000000000001340130013002313007696e2d61646472046172706100000c0001",
     "02000000000502000000000908004500005800000000401166880a0000090a000005003510e100443fe2"
     "beef8500000100010000000001340130013002313007696e2d61646472046172706100000c0001c00c00"
     "0c00010000003c000903766d31036c616200"},
    {"PTR, IPv6",
     "02000000000902000000000508004500007600010000401166690a0000050a00000910e100350062a829"
     "beef01000001000000000000013401300130013001300130013001300130013001300130013001300130"
     "013001300130013001300130013001300130013001300130013001300130016401660369703604617270"
     "6100000c0001",
     "02000000000502000000000908004500008b00000000401166550a0000090a000005003510e100778e29"
     "beef85000001000100000000013401300130013001300130013001300130013001300130013001300130"
     "013001300130013001300130013001300130013001300130013001300130016401660369703604617270"
     "6100000c0001c00c000c00010000003c000903766d31036c616200"},
    {"over IPv6",
     "02000000000902000000000586dd6000000000211140fd000000000000000000000000000005fd000000"
     "00000000000000000000000910e1003500215e20beef0000000100000000000003766d31036c61620000"
     "010001",
     "02000000000502000000000986dd6000000000311140fd000000000000000000000000000009fd000000"
     "000000000000000000000005003510e100318734beef8400000100010000000003766d31036c61620000"
     "010001c00c000100010000003c00040a000004"},
    {"another name",
     "02000000000902000000000508004500003500010000401166aa0a0000050a00000910e1003500214320"
     "beef0100000100000000000003766d33036c61620000010001",
     ""},
    {"another type",
     "02000000000902000000000508004500003500010000401166aa0a0000050a00000910e1003500213522"
     "beef0100000100000000000003766d31036c616200000f0001",
     ""},
};
const char* const kRule =
    "actions=dns_reply(ttl=60,vm1.lab=10.0.0.4/fd00::4,VM2.lab=10.0.0.6),mod_dl_dst:02:00:00:00:00:"
    "77,output:3";

TEST_CASE("DNS: names of the table are answered, others go on", "[pipeline][reply][dns]") {
  for (const bool caches : {true, false}) {
    Lab lab({.exact_match = caches, .megaflow = caches});
    lab.rules(kRule);
    for (int round = 0; round < 2; ++round)
      for (const Exchange& e : kExchanges) {
        INFO(e.what);
        const Bytes question = hex(e.question);
        if (e.answer[0] != '\0') {
          REQUIRE(lab.send(lab.packet(question), 2) == "2 consumed");
          CHECK(lab.output_bytes() == hex(e.answer));
          continue;
        }
        REQUIRE(lab.send(lab.packet(question), 2) == "3");
        Bytes want = question;
        want[5] = 0x77;
        CHECK(lab.output_bytes() == want);
      }
  }
}

TEST_CASE("DNS: what is no plain query goes on", "[pipeline][reply][dns]") {
  Lab lab;
  lab.rules(kRule);
  const Bytes good = hex(kExchanges[0].question);
  const std::size_t dns = 14 + 20 + 8;
  const auto changed = [&](std::size_t at, std::uint8_t v) {
    Bytes b = good;
    b[at] = v;
    return lab.send(lab.packet(b), 2);
  };
  CHECK(changed(dns + 2, 0x81) == "3");       // a response
  CHECK(changed(dns + 2, 0x11) == "3");       // a status request
  CHECK(changed(dns + 5, 2) == "3");          // two questions
  CHECK(changed(dns + 5, 0) == "3");          // none
  CHECK(changed(dns + 12, 0xc0) == "3");      // a pointer
  CHECK(changed(dns + 12, 63) == "3");        // a label beyond the end
  CHECK(changed(good.size() - 1, 3) == "3");  // class CHAOS
  CHECK(changed(37, 54) == "3");              // another port
  CHECK(changed(20, 0x20) == "3");            // a first fragment
  CHECK(changed(30, 0xe0) == "3");            // to a group
  for (std::size_t cut = 1; cut <= 25; ++cut) {
    Bytes b(good.begin(), good.end() - static_cast<std::ptrdiff_t>(cut));
    const auto ip = static_cast<std::uint16_t>(b.size() - 14);
    b[16] = static_cast<std::uint8_t>(ip >> 8);
    b[17] = static_cast<std::uint8_t>(ip);
    b[39] = static_cast<std::uint8_t>(ip - 20);
    REQUIRE(lab.send(lab.packet(b), 2) == "3");
  }
}

TEST_CASE("DNS: an answer that does not fit is marked as cut", "[pipeline][reply][dns]") {
  Lab lab;
  std::string rule = "actions=dns_reply(ttl=60,vm1.lab=10.0.0.1";
  for (int i = 2; i <= 60; ++i) rule += "/10.0.0." + std::to_string(i);
  lab.rules(rule + ")");
  REQUIRE(lab.send(lab.packet(hex(kExchanges[0].question)), 2) == "2 consumed");
  const Bytes b = lab.output_bytes();
  CHECK(b.size() - 42 == 12 + 13 + 30 * 16);
  CHECK(b[42 + 2] == 0x87);
  CHECK(b[42 + 7] == 30);
  CHECK(verify_checksums(*lab.outputs.out[0].packet) == ChecksumFault::ok);
}

TEST_CASE("DNS: of copies, the copy is answered", "[pipeline][reply][dns]") {
  Lab lab;
  lab.rules("actions=output:3,clone(dns_reply(vm1.lab=10.0.0.4)),output:4");
  CHECK(lab.send(lab.packet(hex(kExchanges[0].question)), 2) == "3 2 4");
  CHECK(lab.send(lab.packet(hex(kExchanges[7].question)), 2) == "3 4");
}

TEST_CASE("DNS: names that are none are refused", "[dns]") {
  datapath::DnsTable t;
  for (const char* bad : {"", ".", "a..b", ".a", "a b", "a/b"}) CHECK(!t.add(bad, Ip4{1}).ok());
  CHECK(!t.add(std::string(64, 'a'), Ip4{1}).ok());
  CHECK(t.empty());
  CHECK(t.add(std::string(63, 'a') + ".b_c-1.", Ip4{1}).ok());
  CHECK(t.name_of(Ip4{1}) == std::string(63, 'a') + ".b_c-1");
}

}  // namespace
}  // namespace weft::test
