package check

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/sipprobe"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// facts are what was found out about a target.
type facts struct {
	target  *config.Target
	users   Users
	socket  *socketFile   // nil if the target is not a socket with a path
	scrapes []moduleFacts // one for each module of the target
	server  *serverFacts  // nil if Kamailio did not reply
}

// moduleFacts are what scrapes with a module showed.
type moduleFacts struct {
	module *config.Module
	whole  scraped   // the first scrape of all methods
	alone  []scraped // a scrape of each method of whole that did not fail, in the same order
	again  scraped   // a scrape of all methods after the others, when the caches are warm; whole if the time was over
}

// scraped is the outcome of a scrape.
type scraped struct {
	method  string // "" for all methods
	details *scrape.Details
	series  int // without those about the scrape itself
	skips   []metric.Skip
	err     error // not nil if nothing is known
}

// serverFacts are what Kamailio says about itself.
type serverFacts struct {
	first, next time.Duration // times of the first reply, with the time to connect, and of the next one
	version     rpc.Reply
	uptime      rpc.Reply
	modules     rpc.Reply
	methods     []string
	methodsErr  error
	sockets     []sipprobe.Socket // those that auto would probe
	socketsLeft int               // number of the others
	socketsErr  error
}

// isUp reports whether kamailio_up would be 1 with each module.
func (f *facts) isUp() bool {
	return !slices.ContainsFunc(f.scrapes, func(s moduleFacts) bool { return !s.isUp() })
}

// isUp reports whether kamailio_up would be 1.
func (m *moduleFacts) isUp() bool { return m.whole.err == nil && m.whole.details.Reason == "" }

// problemOf returns the problem of a method, nil if it did not fail.
func (m *moduleFacts) problemOf(method string) *scrape.ProblemDetails {
	for i, problem := range m.whole.details.Problems {
		if slices.Contains(problem.Collectors, method) {
			return &m.whole.details.Problems[i]
		}
	}
	return nil
}

// examine finds out the facts about a target.
func examine(ctx context.Context, target *config.Target, users Users) *facts {
	f := &facts{target: target, users: users, socket: lookAtSocket(target.URI)}
	t := scrape.NewTarget(target, slog.New(slog.DiscardHandler)) // the report has what the log would have
	defer t.Close()                                              //nolint:errcheck // nothing uses it any more
	for _, module := range target.Modules {
		f.scrapes = append(f.scrapes, moduleFacts{module: module, whole: scrapeOnce(ctx, t, module)})
	}
	if slices.ContainsFunc(f.scrapes, func(m moduleFacts) bool { return m.isUp() }) {
		f.server = ask(ctx, target)
	}
	for i := range f.scrapes {
		f.scrapes[i].measure(ctx, t)
	}
	return f
}

// scrapeOnce scrapes some methods of a module once, all if none are given.
func scrapeOnce(ctx context.Context, t *scrape.Target, module *config.Module, methods ...string) scraped {
	s := scraped{method: strings.Join(methods, " ")}
	selection, err := t.Select(module.Name, methods)
	if err != nil {
		s.err = err
		return s
	}
	ctx, cancel := context.WithTimeout(ctx, selection.Wait(0))
	defer cancel()
	result, err := selection.Debug().Scrape(ctx)
	if err != nil {
		s.err = err
		return s
	}
	defer result.Release()
	s.details, s.series, s.skips = result.Details, countSeries(result.Set), slices.Clone(result.Set.Skips())
	if s.details == nil {
		s.err = scrape.ErrClosed
	}
	return s
}

// took returns the time of the last reply of a scrape, 0 if no reply arrived.
func (s *scraped) took() time.Duration {
	var last time.Duration
	if s.details != nil {
		for _, method := range s.details.Methods {
			last = max(last, method.Took)
		}
	}
	return last
}

// bytes returns the size of the replies of a scrape.
func (s *scraped) bytes() int {
	sum := 0
	if s.details != nil {
		for _, method := range s.details.Methods {
			sum += method.Bytes
		}
	}
	return sum
}

// countSeries returns the number of series of Kamailio's replies.
func countSeries(set *metric.Set) int {
	count := 0
	own := slices.Concat(scrape.Metrics(), scrape.SIPMetrics(), scrape.HostMetrics())
	for _, family := range set.Families() {
		if !slices.Contains(own, family.Desc) {
			count += family.Len()
		}
	}
	return count
}

// measure scrapes each method that did not fail alone. It takes at most the timeout of the module. Methods that it could not measure
// in this time are not in alone.
func (m *moduleFacts) measure(ctx context.Context, t *scrape.Target) {
	m.again = m.whole
	if !m.isUp() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, m.module.Timeout)
	defer cancel()
	for _, method := range m.whole.details.Methods {
		if m.problemOf(method.Method) != nil {
			continue
		}
		one := fastest(ctx, t, m.module, method.Method)
		if ctx.Err() != nil {
			return
		}
		m.alone = append(m.alone, one)
	}
	if again := fastest(ctx, t, m.module); ctx.Err() == nil {
		m.again = again
	}
}

const (
	// tries is the number of scrapes of which the fastest is shown, because other work of the host makes some of them slow.
	tries = 3
	// brief is the maximum time of a scrape that is made again.
	brief = 10 * time.Millisecond
)

// fastest scrapes some methods of a module, all if none are given, and returns the fastest one of several scrapes.
func fastest(ctx context.Context, t *scrape.Target, module *config.Module, methods ...string) scraped {
	best := scrapeOnce(ctx, t, module, methods...)
	for range tries - 1 {
		if best.err != nil || best.took() == 0 || best.took() > brief {
			break
		}
		if other := scrapeOnce(ctx, t, module, methods...); other.err == nil && other.took() > 0 && other.took() < best.took() {
			best = other
		}
	}
	return best
}

// ask asks Kamailio about itself. It takes at most the timeout of the first module.
func ask(ctx context.Context, target *config.Target) *serverFacts {
	ctx, cancel := context.WithTimeout(ctx, target.Modules[0].Timeout)
	defer cancel()
	client := dial.NewTarget(target.URI, dial.Options{HTTP: target.HTTP})
	defer client.Close() //nolint:errcheck // nothing uses it any more
	s := &serverFacts{}
	s.version, s.first = call(ctx, client, "core.version")
	s.uptime, s.next = call(ctx, client, "core.uptime")
	s.modules, _ = call(ctx, client, "core.modules")
	s.methods, _, s.methodsErr = client.Methods(ctx)
	list, _ := call(ctx, client, "core.sockets_list")
	s.socketsErr = list.Err
	if list.Err == nil {
		s.sockets, s.socketsLeft = scrape.SIPSockets(ctx, target.URI, list.Value)
	}
	return s
}

// call makes a call, and returns the reply and its time. The time is 0 if no reply arrived.
func call(ctx context.Context, client rpc.Client, method string) (rpc.Reply, time.Duration) {
	begin := time.Now()
	reply := client.Do(ctx, rpc.Call{Method: method, Idempotent: true})[0]
	if reply.Received.IsZero() {
		return reply, 0
	}
	return reply, reply.Received.Sub(begin)
}
