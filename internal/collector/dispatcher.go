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
// src/modules/dispatcher/dispatcher.c. 6.1 adds IDX, IUID and PING_SOCKET, which are
// not used: IDX changes with the list, and IUID at each reload.

var dispatcherTarget = gauge("kamailio_dispatcher_list_target",
	"Always 1. The labels are the set, URI and flags of a destination. Fields ID, URI and FLAGS of dispatcher.list.",
	"flags", "setid", "uri")

// destinationLabels are the labels of a destination: its set and address, the
// socket and proxy used, and index for destinations that agree in all of these.
// Kamailio accepts lists with destinations that differ only in priority, weight or
// attributes of the routing script.
var destinationLabels = []string{"duid", "index", "obproxy", "setid", "socket", "uri"}

// destinationMetric returns a family with destinationLabels.
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
		"1 for the state that the destination is in, 0 for the others. States: active, trying (pings fail, but fewer than ds_probing_threshold; "+
			"still used), inactive (not used), disabled (by an administrator; not used). First letter of FLAGS of dispatcher.list.",
		"duid", "index", "obproxy", "setid", "socket", "state", "uri")
	destinationProbing = destinationMetric(metric.Gauge, "probing",
		"1 if the destination has the flag P, 0 if it has X or N. The flag does not show whether Kamailio pings the destination: "+
			"with ds_probing_mode 1 it also pings destinations with X, and it never pings disabled ones. Second letter of FLAGS of dispatcher.list.")
	setDestinations = gauge("kamailio_dispatcher_set_destinations",
		"Number of destinations of the set, by state. First letter of FLAGS of dispatcher.list.",
		"setid", "state")
	setInfo = gauge("kamailio_dispatcher_set_info",
		"Always 1. The label name is the name of the set in dispatcher_sets of the configuration file. Field ID of dispatcher.list.",
		"name", "setid")
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

// Scales of fields that are not in base units.
const (
	milliseconds = 1e-3
	percent      = 1e-2
)

// longestResponse is longer than any SIP transaction lasts, in milliseconds.
// Kamailio computes response times from its host's clock, so they are negative, or
// hours long, if that clock was changed in the meantime.
const longestResponse = 3600e3

// Numeric fields of a destination, by the struct that contains them.
var (
	destinationFields = []field{
		{name: "PRIORITY", desc: destinationMetric(metric.Gauge, "priority",
			"Priority of the destination in its set. The destination with the highest priority is used first. Field PRIORITY of dispatcher.list.")},
	}
	destinationAttrs = []field{
		{name: "MAXLOAD", desc: destinationMetric(metric.Gauge, "max_load",
			"Maximum number of concurrent calls of the destination, 0 for no limit. Field ATTRS.MAXLOAD of dispatcher.list.")},
		{name: "WEIGHT", desc: destinationMetric(metric.Gauge, "weight",
			"Weight of the destination in its set, in percent. Field ATTRS.WEIGHT of dispatcher.list.")},
		{name: "RWEIGHT", desc: destinationMetric(metric.Gauge, "relative_weight",
			"Relative weight of the destination in its set. Field ATTRS.RWEIGHT of dispatcher.list.")},
		// Since 6.0.3. Source of the meaning: ds_update_state in dispatch.c.
		{name: "PROBING_COUNT", desc: destinationMetric(metric.Gauge, "probing_count",
			"Number of pings that count towards the next change of state: those without a reply towards ds_probing_threshold, or those with "+
				"a reply from an inactive destination towards ds_inactive_threshold. Kamailio sends it for destinations with attributes only. "+
				"Field ATTRS.PROBING_COUNT of dispatcher.list.")},
		// Since 6.0. The rate between the two is in dispatcher.oclist, which needs one
		// call for each set, and in dispatcher.list with the argument full of newer
		// versions, whose reply is much larger.
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
			"Maximum response time of the destination to pings. Field LATENCY.MAX of dispatcher.list.")},
		{name: "TIMEOUT", unsigned: true, desc: destinationMetric(metric.Counter, "timeouts_total",
			"Number of pings without a reply from the destination. Field LATENCY.TIMEOUT of dispatcher.list.")},
	}
	destinationRuntime = []field{
		{name: "DLGLOAD", desc: destinationMetric(metric.Gauge, "load",
			"Number of calls that the destination has now. Field RUNTIME.DLGLOAD of dispatcher.list.")},
	}
)

var dispatcherList = &Collector{
	Method: "dispatcher.list",
	Module: "dispatcher",
	Help: "state, latency, weight and load of dispatcher destinations, up to 19 series for each " +
		"destination, 1 for each set with a name. The short form has 1 for each destination, 4 for each set and 1 for its name",
	Auto:  true,
	Large: true,
	Short: true,
	Metrics: slices.Concat([]*metric.Desc{dispatcherTarget, destinationState, destinationProbing, setDestinations, setInfo},
		descsOf(destinationFields), descsOf(destinationAttrs), descsOf(destinationLatency), descsOf(destinationRuntime)),
	noRows: "No Destination Sets",
	collect: func(out *metric.Writer, settings Settings, replies []Reply) {
		for _, reply := range replies {
			collectSets(out, settings, reply.Value)
		}
	},
}

func collectSets(out *metric.Writer, settings Settings, reply rpc.Value) {
	short := slices.Contains(settings.Short, "dispatcher.list")
	seen := repeated{}
	for set := range reply.Get("RECORDS").Named("SET") {
		setid, ok := numberKey(out, set, "ID")
		if !ok {
			continue
		}
		if name, named := settings.DispatcherSets[setid]; named {
			out.AddOnce(setInfo, 1, name, setid)
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

// countDestinations adds the short form of a set. Identical destinations are
// counted separately. A state is 0 only if all destinations could be read.
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

// addTarget adds the series that a destination has in both forms, and returns the
// URI, or false if there is none. Destinations with the same set, URI and flags
// share the series.
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

// repeated counts the destinations that have the same labels, except index, as an
// earlier destination.
type repeated map[[6]string]int

// collectDestination adds a destination. Of destinations with the same labels, the
// first has no index, the second has index 2, and so on.
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
