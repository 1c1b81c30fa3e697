// All wire formats under one include.
#pragma once

#include "datapath/wire/arp.h"
#include "datapath/wire/endian.h"
#include "datapath/wire/ethernet.h"
#include "datapath/wire/icmp.h"
#include "datapath/wire/ip.h"
#include "datapath/wire/overlay.h"
#include "datapath/wire/transport.h"
