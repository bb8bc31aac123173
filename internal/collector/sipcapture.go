package collector

import (
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the text: Kamailio's src/modules/sipcapture/sipcapture.c; the same
// in 5.6 and 6.0. The argument must be check; on and off would change
// the setting.
var sipcaptureEnabled = gauge("kamailio_sipcapture_enabled",
	"1 if SIP messages are captured, 0 if not. Reply of sipcapture.status.")

var sipcaptureStatus = &Collector{
	Method:  "sipcapture.status",
	Module:  "sipcapture",
	Help:    "whether SIP capturing is enabled, 1 series",
	Auto:    true,
	Metrics: []*metric.Desc{sipcaptureEnabled},
	calls: func(Settings) []rpc.Call {
		return []rpc.Call{{Method: "sipcapture.status", Args: []any{"check"}}}
	},
	collect: each(enabled(sipcaptureEnabled)),
}
