package collector

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields in this file: ds_rpc_print_set in Kamailio's
// src/modules/dispatcher/dispatcher.c. 6.1 adds IDX, IUID, PROBING_COUNT and
// PING_SOCKET, which are not used: the first changes when the list does, the
// second at each reload.

var dispatcherTarget = gauge("kamailio_dispatcher_list_target",
	"Always 1, for each set, URI and flags of a destination. Fields ID, URI and FLAGS of dispatcher.list.",
	"flags", "setid", "uri")

// destinationLabels are the labels of a destination: what Kamailio sends to,
// through what, and index for those that agree in all of it. Kamailio takes a
// list in which destinations differ in nothing but their priority, weight or the
// attributes of the routing script.
var destinationLabels = []string{"duid", "index", "obproxy", "setid", "socket", "uri"}

// destinationMetric is a family with these labels.
func destinationMetric(typ metric.Type, name, help string) *metric.Desc {
	return &metric.Desc{
		Name:   "kamailio_dispatcher_destination_" + name,
		Help:   help,
		Type:   typ,
		Labels: destinationLabels,
	}
}

var (
	destinationState = gauge("kamailio_dispatcher_destination_state",
		"1 for the state that the destination is in, 0 for the others. First letter of FLAGS of dispatcher.list.",
		"duid", "index", "obproxy", "setid", "socket", "state", "uri")
	destinationProbing = destinationMetric(metric.Gauge, "probing",
		"1 if the destination has the flag P, 0 if it has X or N. The flag does not say whether Kamailio pings the destination: "+
			"with ds_probing_mode 1 it pings those with X as well, and it never pings a disabled one. Second letter of FLAGS of dispatcher.list.")
	setDestinations = gauge("kamailio_dispatcher_set_destinations",
		"Destinations of the set by state. First letter of FLAGS of dispatcher.list.",
		"setid", "state")
)

// destinationStates are the first letters of FLAGS.
var destinationStates = []struct {
	letter byte
	state  string
}{
	{'A', "active"},
	{'D', "disabled"},
	{'I', "inactive"},
	{'T', "trying"},
}

// The scales of fields in other than base units.
const (
	milliseconds = 1e-3
	percent      = 1e-2
)

// longestResponse is far more than a SIP transaction lasts, in milliseconds.
// Kamailio computes response times from its host's clock: they are negative, or
// hours, if that clock was set meanwhile.
const longestResponse = 3600e3

// The numbers of a destination, by the struct that they are in.
var (
	destinationFields = []field{
		{name: "PRIORITY", desc: destinationMetric(metric.Gauge, "priority",
			"Priority of the destination in its set, a higher one goes first. Field PRIORITY of dispatcher.list.")},
	}
	destinationAttrs = []field{
		{name: "MAXLOAD", desc: destinationMetric(metric.Gauge, "max_load",
			"Most calls at once that the destination gets, 0 for no limit. Field ATTRS.MAXLOAD of dispatcher.list.")},
		{name: "WEIGHT", desc: destinationMetric(metric.Gauge, "weight",
			"Weight of the destination in its set, in percent. Field ATTRS.WEIGHT of dispatcher.list.")},
		{name: "RWEIGHT", desc: destinationMetric(metric.Gauge, "relative_weight",
			"Relative weight of the destination in its set. Field ATTRS.RWEIGHT of dispatcher.list.")},
		// From 6.0 on. The rate between the two is told by dispatcher.oclist, which
		// wants the number of a set, one call for each, and by newer versions'
		// dispatcher.list with the argument full, which makes the reply much larger.
		{name: "OCMIN", unsigned: true, scale: percent, desc: destinationMetric(metric.Gauge, "overload_rate_min_ratio",
			"Lowest rate that overload control may set for the destination, 0 to 1. Field ATTRS.OCMIN of dispatcher.list.")},
		{name: "OCMAX", unsigned: true, scale: percent, desc: destinationMetric(metric.Gauge, "overload_rate_max_ratio",
			"Highest rate that overload control may set for the destination, 0 to 1. Field ATTRS.OCMAX of dispatcher.list.")},
	}
	destinationLatency = []field{
		{name: "AVG", scale: milliseconds, most: longestResponse, desc: destinationMetric(metric.Gauge, "latency_average_seconds",
			"Average response time of the destination to pings. Field LATENCY.AVG of dispatcher.list.")},
		{name: "STD", scale: milliseconds, most: longestResponse, desc: destinationMetric(metric.Gauge, "latency_stddev_seconds",
			"Standard deviation of the response time of the destination to pings. Field LATENCY.STD of dispatcher.list.")},
		{name: "EST", scale: milliseconds, most: longestResponse, desc: destinationMetric(metric.Gauge, "latency_estimate_seconds",
			"Moving average of the response time of the destination to pings. Field LATENCY.EST of dispatcher.list.")},
		{name: "MAX", scale: milliseconds, most: longestResponse, desc: destinationMetric(metric.Gauge, "latency_max_seconds",
			"Longest response time of the destination to a ping. Field LATENCY.MAX of dispatcher.list.")},
		{name: "TIMEOUT", unsigned: true, desc: destinationMetric(metric.Counter, "timeouts_total",
			"Pings that the destination did not answer. Field LATENCY.TIMEOUT of dispatcher.list.")},
	}
	destinationRuntime = []field{
		{name: "DLGLOAD", desc: destinationMetric(metric.Gauge, "load",
			"Calls that the destination has now. Field RUNTIME.DLGLOAD of dispatcher.list.")},
	}
)

var dispatcherList = &Collector{
	Method: "dispatcher.list",
	Module: "dispatcher",
	Help: "state, latency, weight and load of dispatcher destinations, up to 18 series for each " +
		"destination. The short form has 1 for each destination and 4 for each set",
	Auto:  true,
	Large: true,
	Short: true,
	Metrics: slices.Concat([]*metric.Desc{dispatcherTarget, destinationState, destinationProbing, setDestinations},
		descsOf(destinationFields), descsOf(destinationAttrs), descsOf(destinationLatency), descsOf(destinationRuntime)),
	noRows: "No Destination Sets",
	collect: func(out *metric.Writer, settings Settings, answers []Answer) {
		short := slices.Contains(settings.Short, "dispatcher.list")
		for _, answer := range answers {
			collectSets(out, short, answer.Value)
		}
	},
}

func collectSets(out *metric.Writer, short bool, reply rpc.Value) {
	seen := repeated{}
	for set := range reply.Get("RECORDS").Named("SET") {
		setid, ok := numberKey(out, set, "ID")
		if !ok {
			continue
		}
		if short {
			countDestinations(out, setid, set.Get("TARGETS"))
			continue
		}
		for destination := range set.Get("TARGETS").Named("DEST") {
			collectDestination(out, seen, setid, destination)
		}
	}
}

// countDestinations is the short form of a set. Destinations that are the same
// but for their place count each. A state is 0 only if all could be read.
func countDestinations(out *metric.Writer, setid string, targets rpc.Value) {
	count, read := make([]float64, len(destinationStates)), 0
	for destination := range targets.Named("DEST") {
		flags := destination.Get("FLAGS").Text()
		if _, ok := addTarget(out, setid, flags, destination); !ok || !areFlags(out, flags) {
			continue
		}
		read++
		for i := range destinationStates {
			count[i] += is(flags[0] == destinationStates[i].letter)
		}
	}
	complete := targets.Kind() >= rpc.KindStruct && read == targets.Len()
	for i := range destinationStates {
		if count[i] == 0 && !complete {
			continue
		}
		out.Add(setDestinations, count[i], setid, destinationStates[i].state)
	}
}

// addTarget adds the series that the destination has in either form, and returns
// its URI, false if it has none. Destinations that differ only in what the series
// has no label for share it.
func addTarget(out *metric.Writer, setid, flags string, destination rpc.Value) (string, bool) {
	uri := destination.Get("URI").Text()
	if uri == "" {
		out.Skip(metric.BadValue, "URI is missing")
		return "", false
	}
	if flags != "" {
		out.AddOnce(dispatcherTarget, 1, flags, setid, uri)
	}
	return uri, true
}

// repeated counts the destinations that agree with an earlier one in all labels
// but index, by those labels.
type repeated map[[6]string]int

// collectDestination adds a destination. The first of those that agree in all
// other labels has no index, the second has 2, and so on.
func collectDestination(out *metric.Writer, seen repeated, setid string, destination rpc.Value) {
	flags := destination.Get("FLAGS").Text()
	uri, ok := addTarget(out, setid, flags, destination)
	if !ok {
		return
	}
	attrs := destination.Get("ATTRS")
	socket := cmp.Or(attrs.Get("SOCKET").Text(), attrs.Get("SOCKNAME").Text())
	labels := [...]string{attrs.Get("DUID").Text(), "", attrs.Get("OBPROXY").Text(), setid, socket, uri}
	shared := out.Labels(destinationLabels, labels[:]...)
	if !shared.First {
		seen[labels]++
		labels[1] = strconv.Itoa(seen[labels] + 1)
		shared = out.Labels(destinationLabels, labels[:]...)
	}
	addFlags(out, flags, labels, shared)
	addNumbersTo(out, shared, destinationFields, destination)
	addNumbersTo(out, shared, destinationAttrs, attrs)
	addNumbersTo(out, shared, destinationLatency, destination.Get("LATENCY"))
	addNumbersTo(out, shared, destinationRuntime, destination.Get("RUNTIME"))
}

func addFlags(out *metric.Writer, flags string, labels [6]string, shared metric.Labels) {
	if !areFlags(out, flags) {
		return
	}
	for _, s := range destinationStates {
		out.Add(destinationState, is(flags[0] == s.letter), labels[0], labels[1], labels[2], labels[3], labels[4], s.state, labels[5])
	}
	out.AddTo(shared, destinationProbing, is(flags[1] == 'P'))
}

func areFlags(out *metric.Writer, flags string) bool {
	if len(flags) == 2 && strings.IndexByte("ADIT", flags[0]) >= 0 && strings.IndexByte("NPX", flags[1]) >= 0 {
		return true
	}
	out.Skip(metric.BadValue, "FLAGS are missing or unknown")
	return false
}
