#!/usr/bin/env python3
"""ovs_text.py WEFT: rules as text, read by ovs-ofctl and by weft.

What weft prints of a rule must be a rule to ovs-ofctl, with the meaning that the first text has
there; what ovs-ofctl refuses (RULES below says where weft must) is refused.
"""
import re
import shutil
import subprocess
import sys

from harness import session

RULES = """\
ip,nw_dst=10.0.0.0/255.0.255.0,actions=output:2
ip,nw_src=*,actions=2
ip,ip_dscp=4,nw_ecn=1,actions=2
ip,nw_frag=not_later,actions=2
in_port=LOCAL,actions=LOCAL
dl_vlan=10,dl_vlan_pcp=3,actions=strip_vlan
vlan_vid=10,actions=2
vlan_tci=0x1000/0x1000,actions=2
dl_vlan=65535,actions=2
tcp,tp_dst=0x50/0xfff0,tcp_flags=+syn-ack,actions=2
tcp,tcp_flags=syn|ack,actions=2
tun_flags=oam,actions=set_field:oam->tun_flags
icmp6,icmp_type=135,icmp_code=0,nd_target=fd00::/64,nd_sll=00:00:00:00:00:01,actions=2
arp,arp_op=1,arp_spa=10.0.0.1,arp_sha=00:00:00:00:00:01,actions=in_port
sctp6,tp_dst=80,actions=set_field:5->sctp_dst
ct_state=+trk-inv,ct_mark=1/0xff,ip,actions=ct_clear,2
reg0=5,xreg1=7,xxreg1=0x5/0xf,metadata=0x5/0x5,pkt_mark=5/5,actions=drop
udp,actions=learn(table=1,eth_type=0x800,nw_proto=17,NXM_OF_UDP_DST[]=NXM_OF_UDP_SRC[],output:in_port)
udp,actions=move:NXM_OF_UDP_SRC[]->NXM_OF_UDP_DST[],load:5->NXM_OF_UDP_DST[0..3],push:udp_src
tcp6,actions=set_field:80->tcp_dst,move:ipv6_src->ipv6_dst
icmp,actions=load:3->icmp_type[0..2],set_field:0->icmp_type
icmp6,actions=set_field:3->icmpv6_type,move:icmpv6_type->reg0[0..7]
icmp6,icmp_type=136,actions=set_field:00:00:00:00:00:05->nd_tll,set_field:fd00::1->nd_target
icmp6,icmp_type=135,actions=set_field:00:00:00:00:00:05->nd_sll
ipv6,actions=load:3->ipv6_dst[0..3],set_field:5->ipv6_label
ip,actions=move:nw_tos->reg0[0..7],move:ip_dscp->reg0[0..5],move:nw_ttl->reg0[0..7]
ip,actions=set_field:16->nw_tos,set_field:3->ip_dscp,mod_nw_ecn:2,set_nw_ttl:5,mod_nw_tos:16
ip,actions=dec_ttl(1,2),dec_ttl
actions=mod_nw_dst:1.2.3.4,mod_nw_src:1.2.3.5
actions=mod_vlan_vid:5,mod_vlan_pcp:3
actions=push_vlan:0x88a8,set_field:4100->vlan_vid,move:reg0[0..11]->OXM_OF_VLAN_VID[0..11]
dl_vlan=5,actions=set_field:3->vlan_pcp,load:5->OXM_OF_VLAN_VID[0..3],load:3->vlan_tci[0..3]
actions=load:0->in_port[],set_field:5->in_port,load:0->NXM_OF_IN_PORT[]
actions=set_field:0x50000000000000001->xxreg0,set_field:0x5/0x5->reg0,load:0x5->xreg0[30..40]
actions=set_tunnel:5,set_field:1.2.3.4->tun_dst,set_field:fd00::1->tun_ipv6_dst,output:reg0[0..15]
ip,actions=ct(commit,force,zone=reg0[0..15],table=5,exec(load:1->ct_mark,set_field:0x5/0xff->ct_label))
ip,actions=ct(commit,nat(src=10.0.0.1-10.0.0.5:1000-2000,random)),ct(commit,nat(dst)),ct(table=1,nat)
ipv6,actions=ct(commit,nat(src=[fd00::1]-[fd00::5]:1000))
actions=resubmit:5,resubmit(5,),resubmit(,5),resubmit(5,6),resubmit(LOCAL,6)
actions=output(port=1,max_len=100),LOCAL,in_port,flood,all
actions=exit,output:1
actions=controller(reason=no_match,max_len=5,id=3,userdata=aa.bb),CONTROLLER:128
actions=note:0a.0b.00.00.00.00,group:5,clone(output:1,dec_ttl),output:2
table=5,actions=meter:5,set_field:5->reg0,goto_table:6
send_flow_rem,idle_timeout=5,hard_timeout=6,cookie=0x5,actions=2
"""
REFUSED = """\
udp,actions=set_field:80->tcp_dst
actions=set_field:10.0.0.1->ip_dst
actions=move:nw_src->reg0
icmp6,actions=move:icmp_type->reg0[0..7]
actions=set_field:5->vlan_vid
ip,actions=mod_nw_tos:19
ip,actions=set_field:19->nw_tos
actions=output:2,drop
table=5,actions=goto_table:5
arp,actions=ct(table=1)
ip,actions=learn(table=1,eth_type=0x800,nw_proto=6,NXM_OF_TCP_DST[]=NXM_OF_TCP_SRC[])
actions=note:zzz
in_port=70000,actions=2
actions=output(port=1,max_len=10)
"""


def parse(rule):
    # OpenFlow 1.5 has most of it; mod_* without the protocol, only 1.0.
    for protocols in ('OpenFlow15', 'OpenFlow10,OpenFlow13,OpenFlow15'):
        r = subprocess.run(['ovs-ofctl', '-O' + protocols, 'parse-flow', rule],
                           capture_output=True, text=True)
        if r.returncode == 0:
            break
    line = next((x for x in r.stdout.splitlines() if 'FLOW_MOD' in x), '')
    return r.returncode, re.sub(r'^\S+ .*?ADD ', '', line), r.stderr


def meaning(text):
    """One spelling for what OpenFlow's versions call by several names."""
    vid = lambda m: f'set_field:{int(m[1]) | 0x1000}->vlan_vid'
    text = text.replace('OXM_OF_IP_DSCP[]', 'NXM_OF_IP_TOS[2..7]')
    for pattern, to in ((r'mod_nw_ttl:(\d+)', r'set_field:\1->nw_ttl'),
                        (r'mod_nw_tos:(\d+)', r'set_field:\1->nw_tos'),
                        (r'load:0x([0-9a-f]+)->NXM_OF_IP_TOS\[\]',
                         lambda m: f'set_field:{int(m[1], 16)}->nw_tos'),
                        (r'load:0x([0-9a-f]+)->OXM_OF_IP_DSCP\[\]',
                         lambda m: f'set_field:{int(m[1], 16) * 4}->nw_tos'),
                        (r'set_field:(\d+)->ip_dscp', lambda m: f'set_field:{int(m[1]) * 4}->nw_tos'),
                        (r'set_field:(\d+)->vlan_vid', vid), (r'mod_vlan_vid:(\d+)', vid),
                        (r'load:0x([0-9a-f]+)->OXM_OF_VLAN_VID\[\]',
                         lambda m: vid([0, str(int(m[1], 16))])),
                        (r'mod_vlan_pcp:(\d+)', r'set_field:\1->vlan_pcp'),
                        (r'load:0x([0-9a-f]+)->OXM_OF_VLAN_PCP\[\]',
                         lambda m: f'set_field:{int(m[1], 16)}->vlan_pcp')):
        text = re.sub(pattern, to, text)
    return text


if shutil.which('ovs-ofctl') is None:
    print('SKIPPED: ovs-ofctl is not installed')
    sys.exit(77)

with session() as t:
    def fmt(rule):
        (t.folder / 'rule').write_text(rule + '\n')
        return t.weft('ofproto', 'fmt', 'rule')

    for rule in RULES.splitlines():
        shown = fmt(rule)
        text = shown.stdout.strip()
        if not t.check(f'weft takes {rule}', shown.returncode == 0, shown.said):
            continue
        code, first, why = parse(rule)
        t.check(f'ovs-ofctl takes {rule}', code == 0 and first, why)
        code, second, why = parse(text)
        t.check(f'ovs-ofctl takes what weft prints: {text}', code == 0 and second, why)
        t.check(f'the same meaning: {rule}', meaning(first) == meaning(second),
                f'to ovs-ofctl     {first}\nas weft prints it {second}')
        t.check(f'one canonical text: {text}', fmt(text).stdout.strip() == text, fmt(text).said)
    for rule in REFUSED.splitlines():
        code, shown, why = parse(rule)
        t.check(f'ovs-ofctl refuses {rule}', code != 0 or not shown, shown)
        refused = fmt(rule)
        t.check(f'weft refuses {rule}', refused.returncode == 2 and 'help:' in refused.stderr,
                refused.said)
