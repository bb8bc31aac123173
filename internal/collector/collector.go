// Package collector turns replies of Kamailio's RPC methods into metrics. There
// is one collector for each method, in the file of the Kamailio module that the
// method belongs to. A collector never touches the network: it says which call
// it wants, and is a pure function from the reply to metrics.
package collector

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Collector is one RPC method and what it becomes. It is immutable and may be
// used concurrently.
type Collector struct {
	// Method is the RPC method's name, which is also the collector's.
	Method string
	// Module is the Kamailio module that has the method; "core" for the core.
	Module string
	// Help says in a line what users get of it, and how many series that is.
	Help string
	// Auto tells whether it is used without being asked for. What costs
	// Kamailio more the more traffic there is, is not.
	Auto bool
	// Large tells that the reply may not fit a socket's buffer. Such methods
	// are asked last: if their reply is cut short, it harms no other.
	Large bool
	// BINRPCOnly reports whether Kamailio answers the method over BINRPC alone or,
	// in some version, drops records of the reply over JSON-RPC. It is not called
	// there.
	BINRPCOnly bool
	// Setting is the key of the setting without which there is nothing to call, "" for none.
	Setting string
	// Short tells that there is a short form; see Settings.Short.
	Short bool
	// Metrics are all families that it can give.
	Metrics []*metric.Desc

	// calls are the calls to make; nil means one, without arguments.
	calls func(Settings) []rpc.Call
	// again are the calls of a second batch, if the answers of the first ask
	// for one, in whose place it goes; nil means none.
	again func(Settings, []Answer) []rpc.Call
	// collect turns the answers without errors, of which there is at least
	// one, into samples.
	collect func(out *metric.Writer, settings Settings, answers []Answer)
	// settled reports whether the replies to all calls show that those after the
	// first call are valid until Kamailio restarts; nil means that they never are.
	settled func(answers []Answer) bool
	// verify returns an error if replies lack something without being faults; nil
	// means that they cannot.
	verify func(answers []Answer) error
	// noRows is the reason of the fault with which the method says that there
	// is nothing to tell, "" if it does not.
	noRows string
}

// Settings are what users choose about collectors. The zero Settings are good.
type Settings struct {
	// Short are the methods that are to give their short form, where they have
	// one.
	Short []string
	// MaxSeries is the most series that one collector may give; 0 means any
	// number.
	MaxSeries int
	// Named are the methods that the user named. A method that is used only
	// because it is cheap is not among them.
	Named []string
	// StatsGroups are the statistics that stats.fetch shows as they are if it is
	// named: groups, "group:name", or "all".
	StatsGroups []string
	// DialogProfiles are the profiles that dlg.profile_get_size is asked for.
	DialogProfiles []DialogProfile
	// HtableKeys are the values that htable.get is asked for.
	HtableKeys []HtableKey
	// NoLegacySeries leaves out the families with Desc.Legacy whose preferred
	// family has samples, and statistics as they are that have a metric.
	NoLegacySeries bool
}

// Answer is a call with its reply.
type Answer struct {
	Call rpc.Call
	rpc.Reply
}

// argument is the call's i-th argument if that is a text, or else "".
func (a *Answer) argument(i int) string {
	if i >= len(a.Call.Args) {
		return ""
	}
	text, _ := a.Call.Args[i].(string)
	return text
}

// All are all collectors, in the order in which they are asked.
var All = []*Collector{
	coreUptime,
	coreInfo,
	coreShmmem,
	coreTCPInfo,
	corePsx,
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
	dlgProfileGetSize,
	dlgStatsActive,
	dmqListNodes,
	dnsMemInfo,
	dstBlocklistMemInfo,
	ctlConnections,
	rtpengineShow,
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
	secfilterStats,
	siptraceStatus,
	sipcaptureStatus,
	pdbStatus,
	kafkaStats,
	peerstateStats,
	scaSubscriptionCount,
	pikeTop,
	permissionsSubnetDump,
	uacRegDump,
	dispatcherList,
	plList,
	plStats,
	permissionsAddressDump,
	domainDump,
	imcListRooms,
	ulpcscfStatus,
}

// Calls are what to ask Kamailio; none if the settings leave nothing to ask.
func (c *Collector) Calls(settings Settings) []rpc.Call {
	if c.calls == nil {
		return []rpc.Call{{Method: c.Method}}
	}
	return c.calls(settings)
}

// Again are the calls of a second batch whose answers take the place of the
// first one's; none as a rule.
func (c *Collector) Again(settings Settings, answers []Answer) []rpc.Call {
	if c.again == nil {
		return nil
	}
	return c.again(settings, answers)
}

// Settled reports whether the replies to the calls after the first one are valid
// until Kamailio restarts, so that these calls need not be made again.
func (c *Collector) Settled(answers []Answer) bool { return c.settled != nil && c.settled(answers) }

// Collect adds what the answers say to set. The error is that of the calls that
// failed, or says that an answer is nothing like what the method answers; what
// the other answers say is there all the same.
func (c *Collector) Collect(set *metric.Set, settings Settings, answers []Answer) error {
	var good []Answer
	var failed []error
	for _, answer := range answers {
		switch {
		case answer.Err == nil:
			good = append(good, answer)
		case c.hasNoRows(answer.Err):
		case len(answers) == 1:
			failed = append(failed, answer.Err)
		default:
			failed = append(failed, fmt.Errorf("%s: %w", answer.Call, answer.Err))
		}
	}
	if len(good) > 0 {
		failed = append(failed, c.collectSafely(set.Writer(c.Method, settings.MaxSeries), settings, good))
	}
	if c.verify != nil {
		failed = append(failed, c.verify(good))
	}
	return errors.Join(failed...)
}

func (c *Collector) hasNoRows(err error) bool {
	fault, ok := errors.AsType[*rpc.Fault](err)
	return ok && c.noRows != "" && fault.Reason == c.noRows
}

// collectSafely is collect, but for a reply so odd that a collector breaks on
// it: it is foreign data, and must not take the other collectors along.
func (c *Collector) collectSafely(out *metric.Writer, settings Settings, answers []Answer) (err error) {
	defer func() {
		if broken := recover(); broken != nil {
			err = fmt.Errorf("the reply broke the collector, please report it: %v", broken)
		}
	}()
	c.collect(out, settings, answers)
	if out.Added() == 0 && (out.Skipped() > 0 || !slices.ContainsFunc(answers, hasRows)) {
		return errNothingRead
	}
	return nil
}

// errNothingRead is a reply of which nothing became a sample.
var errNothingRead = errors.New("no sample could be made of the reply, which is not what the method is known to answer")

// hasRows tells whether an answer is a list, empty or not, or a struct, as that
// of a method that may have nothing to tell.
func hasRows(answer Answer) bool {
	kind := answer.Value.Kind()
	return kind == rpc.KindStruct || kind == rpc.KindArray
}

// Select returns the collectors of these methods, in the order in which they
// are asked. An unknown name is an error that lists the known ones.
func Select(methods []string) ([]*Collector, error) {
	var selected []*Collector
	for _, c := range All {
		if slices.Contains(methods, c.Method) {
			selected = append(selected, c)
		}
	}
	for _, method := range methods {
		if !slices.ContainsFunc(All, func(c *Collector) bool { return c.Method == method }) {
			return nil, fmt.Errorf("unknown method %q, known are auto, %s", method, strings.Join(Methods(), ", "))
		}
	}
	return selected, nil
}

// Methods are the names of all collectors.
func Methods() []string {
	names := make([]string, len(All))
	for i, c := range All {
		names[i] = c.Method
	}
	slices.Sort(names)
	return names
}

// number reads a value as a metric's. An unsigned one is never negative: the
// upper half of the 32-bit integers is read as such, a negative double is
// false. BINRPC does not say which integers are signed, so field does.
func number(v rpc.Value, unsigned bool) (float64, bool) {
	if unsigned && v.Kind() == rpc.KindInt {
		u, ok := v.Uint()
		return float64(u), ok
	}
	f, ok := v.Float()
	return f, ok && !math.IsNaN(f) && !math.IsInf(f, 0) && (f >= 0 || !unsigned)
}

// skipNumber counts a value that number could not read.
func skipNumber(out *metric.Writer, name string, v rpc.Value) {
	if v.Kind() == rpc.KindInt || v.Kind() == rpc.KindDouble {
		out.Skip(metric.BadValue, name+" is out of range")
		return
	}
	out.Skip(metric.NotANumber, whatIs(name, v))
}

// field is a member of a reply's struct that is a number.
type field struct {
	name string
	desc *metric.Desc
	// unsigned reports whether Kamailio keeps the number in an unsigned type, so
	// that the upper half of 32-bit integers is not negative. Those of counters
	// always are.
	unsigned bool
	// scale multiplies the number, to convert it to a base unit; 0 means 1.
	scale float64
	// most is the largest possible number, in the unit of the reply, of a field
	// that cannot be negative either; 0 means no bounds.
	most float64
	// labels are the values of the metric's labels, where they are fixed.
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

// each collects answers one by one, for collectors that have no settings.
func each(collect func(*metric.Writer, rpc.Reply)) func(*metric.Writer, Settings, []Answer) {
	return func(out *metric.Writer, _ Settings, answers []Answer) {
		for _, answer := range answers {
			collect(out, answer.Reply)
		}
	}
}

// fields collects a reply that is one struct of numbers.
func fields(all []field) func(*metric.Writer, Settings, []Answer) {
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

// descsOf are the families of fields, each once.
func descsOf(all []field) []*metric.Desc {
	var descs []*metric.Desc
	for _, f := range all {
		if !slices.Contains(descs, f.desc) {
			descs = append(descs, f.desc)
		}
	}
	return descs
}

// gauge and counter make descriptions in a line.
func gauge(name, help string, labels ...string) *metric.Desc {
	return newDesc(metric.Gauge, name, help, labels)
}

func counter(name, help string, labels ...string) *metric.Desc {
	return newDesc(metric.Counter, name, help, labels)
}

// is makes a metric's value of a condition.
func is(condition bool) float64 {
	if condition {
		return 1
	}
	return 0
}
