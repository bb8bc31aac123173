package collector

import (
	"math"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/rtpproxy/rtpproxy.c; the same in
// 5.6 and 6.0. recheck is the tick of the next check. The current tick is not
// sent, so only the value for no next check is used.
const rtpproxyNoRecheck = math.MaxUint32

var (
	rtpproxyUp = relayMetric("rtpproxy", "up",
		"1 if Kamailio uses the proxy, 0 if the proxy did not reply or is disabled. Field disabled of rtpproxy.list.")
	rtpproxyDisabled = relayMetric("rtpproxy", "disabled",
		"1 if the proxy is disabled permanently, so that Kamailio does not check it again, 0 if not. Fields disabled and recheck of rtpproxy.list.")
	rtpproxyWeight = field{name: "weight", unsigned: true, desc: relayMetric("rtpproxy", "weight",
		"Weight of the proxy in its set. Field weight of rtpproxy.list.")}
)

var rtpproxyList = &Collector{
	Method:  "rtpproxy.list",
	Module:  "rtpproxy",
	Help:    "state and weight of RTP proxies, 3 series for each proxy",
	Auto:    true,
	Metrics: []*metric.Desc{rtpproxyUp, rtpproxyDisabled, rtpproxyWeight.desc},
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		seen := map[[2]string]bool{}
		for proxy := range reply.Value.Rows() {
			if url, ok := keys(out, proxy, "url"); ok {
				collectRTPProxy(out, proxy, relayLabels(seen, proxy.Get("index"), proxy.Get("setid"), url[0]))
			}
		}
	}),
}

func collectRTPProxy(out *metric.Writer, proxy rpc.Value, labels []string) {
	addNumbers(out, []field{rtpproxyWeight}, proxy, labels)
	disabled := proxy.Get("disabled")
	if !addFlag(out, rtpproxyUp, disabled, false, labels) {
		return
	}
	if recheck, ok := proxy.Get("recheck").Uint(); ok {
		n, _ := disabled.Int()
		out.Add(rtpproxyDisabled, is(n != 0 && recheck == rtpproxyNoRecheck), labels...)
	}
}
