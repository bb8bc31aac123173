package collector

import (
	"slices"
	"strconv"
	"strings"

	"github.com/kamailio-exporter/kamailio_exporter/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/rpc"
)

// Source of the fields in this file: Kamailio's
// src/modules/dispatcher/dispatcher.c, for the flags ds_get_flags in dispatch.c.

var dispatcherTarget = gauge("kamailio_dispatcher_list_target",
	"Always 1, for each destination with its flags. Fields ID, URI and FLAGS of dispatcher.list.",
	"flags", "setid", "uri")

// destinationMetric is a family with the labels that tell destinations apart.
func destinationMetric(typ metric.Type, name, help string) *metric.Desc {
	return &metric.Desc{
		Name:   "kamailio_dispatcher_destination_" + name,
		Help:   help,
		Type:   typ,
		Labels: []string{"duid", "setid", "socket", "uri"},
	}
}

var (
	destinationState = gauge("kamailio_dispatcher_destination_state",
		"1 for the state that the destination is in, 0 for the others. First letter of FLAGS of dispatcher.list.",
		"duid", "setid", "socket", "state", "uri")
	destinationProbing = destinationMetric(metric.Gauge, "probing",
		"1 if Kamailio pings the destination, 0 if not. Second letter of FLAGS of dispatcher.list.")
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

// milliseconds is the scale of a field in milliseconds.
const milliseconds = 1e-3

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
	}
	destinationLatency = []field{
		{name: "AVG", scale: milliseconds, desc: destinationMetric(metric.Gauge, "latency_average_seconds",
			"Average time that the destination took to answer a ping. Field LATENCY.AVG of dispatcher.list.")},
		{name: "STD", scale: milliseconds, desc: destinationMetric(metric.Gauge, "latency_stddev_seconds",
			"Standard deviation of the time that the destination took to answer a ping. Field LATENCY.STD of dispatcher.list.")},
		{name: "EST", scale: milliseconds, desc: destinationMetric(metric.Gauge, "latency_estimate_seconds",
			"Moving average of the time that the destination took to answer a ping. Field LATENCY.EST of dispatcher.list.")},
		{name: "MAX", scale: milliseconds, desc: destinationMetric(metric.Gauge, "latency_max_seconds",
			"Longest time that the destination took to answer a ping. Field LATENCY.MAX of dispatcher.list.")},
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
	Help:   "destinations of the dispatcher: state, latency, weight, load; up to 16 series for each",
	Auto:   true,
	Large:  true,
	Metrics: slices.Concat([]*metric.Desc{dispatcherTarget, destinationState, destinationProbing},
		descsOf(destinationFields), descsOf(destinationAttrs), descsOf(destinationLatency), descsOf(destinationRuntime)),
	noRows: "No Destination Sets",
	collect: each(func(out *metric.Set, reply rpc.Reply) {
		seen := map[[4]string]bool{}
		for set := range reply.Value.Get("RECORDS").Named("SET") {
			id := set.Get("ID")
			setid, ok := id.Int()
			if !ok {
				out.Skip(metric.NotANumber, "ID = "+id.String())
				continue
			}
			for destination := range set.Get("TARGETS").Named("DEST") {
				collectDestination(out, seen, strconv.FormatInt(setid, 10), destination)
			}
		}
	}),
}

// collectDestination adds a destination that has not been seen yet.
func collectDestination(out *metric.Set, seen map[[4]string]bool, setid string, destination rpc.Value) {
	uri := destination.Get("URI").Text()
	flags := destination.Get("FLAGS").Text()
	attrs := destination.Get("ATTRS")
	labels := [4]string{attrs.Get("DUID").Text(), setid, attrs.Get("SOCKET").Text(), uri}

	// Destinations that differ in socket or duid only are one here, as ever.
	out.AddOnce(dispatcherTarget, 1, flags, setid, uri)
	if seen[labels] {
		out.Skip(metric.Duplicate, uri+" in set "+setid)
		return
	}
	seen[labels] = true
	addFlags(out, flags, labels)
	addNumbers(out, destinationFields, destination, labels[:])
	addNumbers(out, destinationAttrs, attrs, labels[:])
	addNumbers(out, destinationLatency, destination.Get("LATENCY"), labels[:])
	addNumbers(out, destinationRuntime, destination.Get("RUNTIME"), labels[:])
}

func addFlags(out *metric.Set, flags string, labels [4]string) {
	if len(flags) != 2 || !strings.ContainsRune("ADIT", rune(flags[0])) || !strings.ContainsRune("NPX", rune(flags[1])) {
		out.Skip(metric.BadValue, "FLAGS = "+flags)
		return
	}
	for _, s := range destinationStates {
		out.Add(destinationState, is(flags[0] == s.letter), labels[0], labels[1], labels[2], s.state, labels[3])
	}
	out.Add(destinationProbing, is(flags[1] == 'P'), labels[:]...)
}

// addNumbers adds those of the fields that the struct has.
func addNumbers(out *metric.Set, all []field, from rpc.Value, labels []string) {
	for i := range all {
		if v := from.Get(all[i].name); v.Exists() {
			all[i].add(out, v, labels...)
		}
	}
}
