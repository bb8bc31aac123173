package collector

import (
	"slices"
	"strconv"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the numbers in this file: Kamailio's src/core/dns_cache.c and
// dst_blocklist.c. They have no names: the first is the memory in use, the second
// the maximum. JSON-RPC sends only the second.

var (
	dnsCacheUsed = gauge("kamailio_dns_cache_used_bytes",
		"Bytes of shared memory used by the DNS cache. First number of dns.mem_info.")
	dnsCacheMax = gauge("kamailio_dns_cache_max_bytes",
		"Maximum bytes of shared memory for the DNS cache. Second number of dns.mem_info.")
	dstBlocklistUsed = gauge("kamailio_dst_blocklist_used_bytes",
		"Bytes of shared memory used by the list of blocked destinations. First number of dst_blocklist.mem_info.")
	dstBlocklistMax = gauge("kamailio_dst_blocklist_max_bytes",
		"Maximum bytes of shared memory for the list of blocked destinations. Second number of dst_blocklist.mem_info.")
)

var dnsMemInfo = &Collector{
	Method:     "dns.mem_info",
	Module:     "core",
	Help:       "memory of the DNS cache, 2 series",
	Auto:       true,
	BINRPCOnly: true,
	Metrics:    []*metric.Desc{dnsCacheUsed, dnsCacheMax},
	noRows:     "dns cache support disabled (see use_dns_cache)",
	collect:    each(memInfo(dnsCacheUsed, dnsCacheMax)),
}

var dstBlocklistMemInfo = &Collector{
	Method:     "dst_blocklist.mem_info",
	Module:     "core",
	Help:       "memory of the list of blocked destinations, 2 series",
	Auto:       true,
	BINRPCOnly: true,
	Metrics:    []*metric.Desc{dstBlocklistUsed, dstBlocklistMax},
	noRows:     "dst blocklist support disabled", // the default
	collect:    each(memInfo(dstBlocklistUsed, dstBlocklistMax)),
}

// memInfo returns a function that reads the two numbers. If there is only one, it
// is dropped, since it could be either.
func memInfo(used, most *metric.Desc) func(*metric.Writer, rpc.Reply) {
	return func(out *metric.Writer, reply rpc.Reply) {
		numbers := slices.Collect(reply.Value.Rows())
		if len(numbers) != 2 {
			out.Skip(metric.BadValue, strconv.Itoa(len(numbers))+" numbers, expected 2")
			return
		}
		for i, desc := range []*metric.Desc{used, most} {
			f := field{name: desc.Name, unsigned: true, desc: desc}
			f.add(out, numbers[i])
		}
	}
}
