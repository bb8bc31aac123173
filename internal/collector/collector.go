// Package collector turns replies of Kamailio's RPC methods into metrics. Each
// method has one collector, in the file of the Kamailio module that provides the
// method. A collector never uses the network: it names its calls and is a pure
// function from their replies to metrics.
package collector

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector/custom"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Collector is one RPC method and the metrics that its reply becomes. It is
// immutable and safe for concurrent use.
type Collector struct {
	// Method is the name of the RPC method and of the collector. That of a user's own
	// metrics begins with CustomPrefix instead.
	Method string
	// Module is the Kamailio module that provides the method, "core" for the core. It is
	// empty for a user's own metrics.
	Module string
	// Help describes the metrics and the number of series in one line, without a
	// capital letter at the start and a period at the end.
	Help string
	// Auto reports whether the collector is used by default. It is false if the
	// method's cost for Kamailio grows with the traffic.
	Auto bool
	// Large reports whether the reply may be larger than a socket's buffer. Large
	// methods are called last, so that a reply that is cut short does not affect
	// other replies.
	Large bool
	// BINRPCOnly reports whether the method is not called over JSON-RPC, where
	// Kamailio refuses it or, in some version, drops records of the reply.
	BINRPCOnly bool
	// Setting is the key of the setting that the collector needs, "" if it needs
	// none. Without the setting it makes no calls.
	Setting string
	// Short reports whether the collector has a short form; see Settings.Short.
	Short bool
	// Metrics are all families that the collector can produce.
	Metrics []*metric.Desc

	// calls returns the calls to make; nil means one call without arguments.
	calls func(Settings) []rpc.Call
	// again returns the calls of a second batch, if the replies to the first batch
	// require one. The second batch replaces the first. nil means that there is
	// never a second batch.
	again func(Settings, []Reply) []rpc.Call
	// collect turns the successful replies, at least one, into samples.
	collect func(out *metric.Writer, settings Settings, replies []Reply)
	// settled reports whether the replies to all calls show that those after the
	// first call are valid until Kamailio restarts; nil means that they never are.
	settled func(replies []Reply) bool
	// verify returns an error if successful replies are incomplete or lack what the
	// user configured; nil means that they never do.
	verify func(settings Settings, replies []Reply) error
	// entry has the expressions of a user's own metrics, which replace collect; nil for the
	// project's own collectors.
	entry *custom.Entry
	// noRows is the reason of the fault that the method sends if it has no data,
	// "" if there is no such fault.
	noRows string
	// noRowsAre is a family without labels that is 0 if the method sends that fault;
	// nil means that the fault has no series.
	noRowsAre *metric.Desc
}

// Settings are the user's settings of collectors. The zero value is valid.
type Settings struct {
	// Short lists the methods whose short form to use, if they have one.
	Short []string
	// MaxSeries is the maximum number of series of one collector; 0 means no
	// limit.
	MaxSeries int
	// Named lists the methods that the user named, without those that are used
	// because of auto.
	Named []string
	// StatsGroups lists the statistics that kamailio_stats_fetch_value has if
	// stats.fetch is named: groups, "group:name", or "all".
	StatsGroups []string
	// DialogProfiles lists the profiles for which dlg.profile_get_size is called.
	DialogProfiles []DialogProfile
	// HtableKeys lists the keys for which htable.get is called.
	HtableKeys []HtableKey
	// SharedVariables lists the names of the variables $shv(name) for which pv.shvGet
	// is called.
	SharedVariables []string
	// KafkaTopics lists the topics of Kafka for which kafka.stats_topic is called.
	KafkaTopics []string
	// DispatcherSets maps the ids of dispatcher sets, as in the label setid, to the
	// names that kamailio_dispatcher_set_info has for them.
	DispatcherSets map[string]string
	// NoLegacySeries drops the families with Desc.Legacy whose preferred family has
	// samples, and the series of kamailio_stats_fetch_value whose statistic has a
	// family of its own.
	NoLegacySeries bool
}

// Reply is the outcome of a call, with the call.
type Reply struct {
	Call rpc.Call
	rpc.Reply
	// Start is what earlier replies of the same Kamailio say about its start.
	Start Start
}

// argument returns the call's i-th argument if it is a string, otherwise "".
func (r *Reply) argument(i int) string {
	if i >= len(r.Call.Args) {
		return ""
	}
	text, _ := r.Call.Args[i].(string)
	return text
}

// All are all collectors, in the order of their calls.
var All = []*Collector{
	coreUptime,
	coreInfo,
	coreShmmem,
	coreTCPInfo,
	corePsx,
	corexDebug,
	coreSocketsList,
	tmStats,
	slStats,
	tlsInfo,
	sctpInfo,
	statsFetch,
	pkgStats,
	htableStats,
	htableListTables,
	htableGet,
	pvShvGet,
	dlgProfileGetSize,
	dlgStatsActive,
	dmqListNodes,
	dnsMemInfo,
	dstBlocklistMemInfo,
	ctlConnections,
	rtpengineShow,
	rtpengineGetHashTotal,
	rtpproxyList,
	mqueueGetSizes,
	rlGetPipes,
	rlGetQueues,
	lcrDumpGws,
	keepaliveList,
	mtreeSummary,
	cdpListPeers,
	ulscscfStatus,
	cnxccStats,
	callObjStats,
	benchmarkTimerList,
	secfilterStats,
	siptraceStatus,
	sipcaptureStatus,
	pdbStatus,
	kafkaStats,
	kafkaStatsTopic,
	peerstateStats,
	scaSubscriptionCount,
	pikeTop,
	permissionsSubnetDump,
	uacRegDump,
	dispatcherList,
	dispatcherOclist,
	plList,
	plStats,
	permissionsAddressDump,
	permissionsDomainDump,
	permissionsTrustedDump,
	lcrDumpRules,
	pdtList,
	crDumpRoutes,
	presencePresentityList,
	domainDump,
	imcListRooms,
	ulpcscfStatus,
}

// Calls returns the calls to make. There are none if the collector needs a
// setting that is not set.
func (c *Collector) Calls(settings Settings) []rpc.Call {
	if c.calls == nil {
		return []rpc.Call{{Method: c.Method}}
	}
	return c.calls(settings)
}

// Again returns the calls of a second batch, whose replies replace those of the
// first batch. Usually there are none.
func (c *Collector) Again(settings Settings, replies []Reply) []rpc.Call {
	if c.again == nil {
		return nil
	}
	return c.again(settings, replies)
}

// Settled reports whether the replies to the calls after the first one are valid
// until Kamailio restarts, so that these calls need not be made again.
func (c *Collector) Settled(replies []Reply) bool { return c.settled != nil && c.settled(replies) }

// Collect adds the samples of the replies to set. It returns an error if a call
// failed, or if no sample could be made of a reply. The samples of the other
// replies are added even then.
func (c *Collector) Collect(set *metric.Set, settings Settings, replies []Reply) error {
	out := set.Writer(c.Method, settings.MaxSeries)
	var good []Reply
	var failed []error
	for _, reply := range replies {
		switch {
		case reply.Err == nil:
			good = append(good, reply)
		case c.hasNoRows(reply.Err):
			if c.noRowsAre != nil {
				out.Add(c.noRowsAre, 0)
			}
		case allFailedAlike(replies) && !c.lacksWhatIsNamed(reply.Err):
			return reply.Err
		default:
			failed = append(failed, fmt.Errorf("%s: %w", reply.Call, reply.Err))
		}
	}
	if len(good) > 0 {
		failed = append(failed, c.collectSafely(out, settings, good))
	}
	if c.verify != nil {
		failed = append(failed, c.verify(settings, good))
	}
	return errors.Join(failed...)
}

// allFailedAlike reports whether all calls failed with the same error, as in an outage.
func allFailedAlike(replies []Reply) bool {
	return !slices.ContainsFunc(replies, func(reply Reply) bool {
		return reply.Err == nil || reply.Err.Error() != replies[0].Err.Error()
	})
}

// lacksWhatIsNamed reports whether an error is Kamailio's fault for a call with an
// argument of a setting. Such an error is shown with the call.
func (c *Collector) lacksWhatIsNamed(err error) bool {
	fault, ok := errors.AsType[*rpc.Fault](err)
	return ok && c.Setting != "" && !fault.NoSuchMethod()
}

func (c *Collector) hasNoRows(err error) bool {
	fault, ok := errors.AsType[*rpc.Fault](err)
	return ok && c.noRows != "" && fault.Reason == c.noRows
}

// collectSafely calls collect and returns an error if it panics. Replies are
// untrusted input, and one that a collector does not expect must not stop the
// other collectors.
func (c *Collector) collectSafely(out *metric.Writer, settings Settings, replies []Reply) (err error) {
	defer func() {
		if broken := recover(); broken != nil {
			err = fmt.Errorf("the reply broke the collector, please report it: %v", broken)
		}
	}()
	c.collect(out, settings, replies)
	if out.Added() == 0 && (out.Skipped() > 0 || !slices.ContainsFunc(replies, hasRows)) {
		return errNothingRead
	}
	return nil
}

// errNothingRead is the error of a reply that produced no sample.
var errNothingRead = errors.New("no sample could be made of the reply, whose format is unknown")

// hasRows reports whether a reply is a list or a struct, which may be empty.
func hasRows(reply Reply) bool {
	kind := reply.Value.Kind()
	return kind == rpc.KindStruct || kind == rpc.KindArray
}

// Select returns the collectors of the methods, in the order of their calls. The
// error for an unknown method lists the known ones, or those with the same first word.
func Select(methods []string) ([]*Collector, error) {
	var selected []*Collector
	for _, c := range All {
		if slices.Contains(methods, c.Method) {
			selected = append(selected, c)
		}
	}
	for _, method := range methods {
		if !slices.ContainsFunc(All, func(c *Collector) bool { return c.Method == method }) {
			return nil, fmt.Errorf("unknown method %q, %s", method, knownMethods(method))
		}
	}
	return selected, nil
}

// knownMethods lists the methods with the same first word as an unknown one, or all if there are none.
func knownMethods(unknown string) string {
	group, _, _ := strings.Cut(unknown, ".")
	var similar []string
	for _, method := range Methods() {
		if strings.HasPrefix(method, group+".") {
			similar = append(similar, method)
		}
	}
	if len(similar) == 0 {
		return "the known methods are auto, " + strings.Join(Methods(), ", ")
	}
	return fmt.Sprintf("the known methods of %s are %s", group, strings.Join(similar, ", "))
}

// Methods returns the names of all collectors, sorted.
func Methods() []string {
	names := make([]string, len(All))
	for i, c := range All {
		names[i] = c.Method
	}
	slices.Sort(names)
	return names
}

// number returns a value as a float64, and false if it is not a finite number.
// BINRPC does not say which integers are signed. If unsigned is true, a negative
// 32-bit integer is read as unsigned, and a negative double returns false.
func number(v rpc.Value, unsigned bool) (float64, bool) {
	if unsigned && v.Kind() == rpc.KindInt {
		u, ok := v.Uint()
		return float64(u), ok
	}
	f, ok := v.Float()
	return f, ok && !math.IsNaN(f) && !math.IsInf(f, 0) && (f >= 0 || !unsigned)
}

// skipNumber counts a value that was dropped because number could not read it.
func skipNumber(out *metric.Writer, name string, v rpc.Value) {
	if v.Kind() == rpc.KindInt || v.Kind() == rpc.KindDouble {
		out.Skip(metric.BadValue, name+" is out of range")
		return
	}
	out.Skip(metric.NotANumber, whatIs(name, v))
}

// field is a numeric member of a reply's struct.
type field struct {
	name string
	desc *metric.Desc
	// unsigned reports whether Kamailio keeps the number in an unsigned type, so
	// that 32-bit integers are read as unsigned. It is true for all counters.
	unsigned bool
	// scale multiplies the number, to convert it to a base unit; 0 means 1.
	scale float64
	// most is the largest valid number, in the unit of the reply; negative numbers
	// are then invalid too. 0 means no bounds.
	most float64
	// labels are the values of the metric's labels, if they are fixed.
	labels []string
}

func (f *field) add(out *metric.Writer, v rpc.Value, labels ...string) {
	f.addTo(out, out.Labels(f.desc.Labels, labels...), v)
}

func (f *field) addTo(out *metric.Writer, labels metric.Labels, v rpc.Value) {
	value, ok := number(v, f.unsigned)
	if !ok || f.most > 0 && (value < 0 || value > f.most) {
		skipNumber(out, f.name, v)
		return
	}
	if f.scale != 0 {
		value *= f.scale
	}
	out.AddTo(labels, f.desc, value)
}

// each returns a collect function that handles replies one by one and needs no
// settings.
func each(collect func(*metric.Writer, rpc.Reply)) func(*metric.Writer, Settings, []Reply) {
	return func(out *metric.Writer, _ Settings, replies []Reply) {
		for _, reply := range replies {
			collect(out, reply.Reply)
		}
	}
}

// fields returns a collect function for replies that are one struct of numbers.
func fields(all []field) func(*metric.Writer, Settings, []Reply) {
	named := byName(all)
	return each(func(out *metric.Writer, reply rpc.Reply) {
		for member := range reply.Value.All() {
			f, ok := named[member.Name()]
			if !ok {
				out.Skip(metric.UnknownField, member.Name())
				continue
			}
			f.add(out, member, f.labels...)
		}
	})
}

func byName(all []field) map[string]*field {
	named := map[string]*field{}
	for i := range all {
		named[all[i].name] = &all[i]
	}
	return named
}

// descsOf returns the families of the fields, without duplicates.
func descsOf(all []field) []*metric.Desc {
	var descs []*metric.Desc
	for _, f := range all {
		if !slices.Contains(descs, f.desc) {
			descs = append(descs, f.desc)
		}
	}
	return descs
}

// gauge returns a new description of a gauge.
func gauge(name, help string, labels ...string) *metric.Desc {
	return newDesc(metric.Gauge, name, help, labels)
}

// counter returns a new description of a counter.
func counter(name, help string, labels ...string) *metric.Desc {
	return newDesc(metric.Counter, name, help, labels)
}

// is returns 1 if the condition is true, otherwise 0.
func is(condition bool) float64 {
	if condition {
		return 1
	}
	return 0
}
