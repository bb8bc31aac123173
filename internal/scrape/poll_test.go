package scrape

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/hint"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// scrapeFor scrapes with a deadline, and returns the samples whose names have one of
// the prefixes.
func scrapeFor(t *testing.T, target *Target, limit time.Duration, prefixes ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	set, release := scrapeTarget(ctx, target)
	defer release()
	return samples(set, prefixes...)
}

// TestImpatientScraperDoesNotAffectOthers has one scraper give up after 10 ms again and
// again while another one waits.
func TestImpatientScraperDoesNotAffectOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := uptimeAnswer
		slow.after = time.Second
		client := &script{answers: map[string]answer{"core.uptime": slow}}
		target, log := newTestTarget(t, client, testOptions{Named: named(t, "core.uptime")})
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 80 {
				scrapeFor(t, target, 10*time.Millisecond, "kamailio_")
			}
		})
		checkSamples(t, scraped(t.Context(), target),
			"core_uptime_uptime_total[] 42",
			"exporter_collector_success[core.uptime] 1",
			"exporter_failed_scrapes[] 0",
			"exporter_total_scrapes[] 1",
			"up[] 1",
		)
		wg.Wait()
		if asked := client.asked(); len(asked) != 1 || log.Len() > 0 {
			t.Errorf("Kamailio was called with %v, the log is %s", asked, log)
		}
	})
}

// TestDisconnectedScraperDoesNotWait has a scraper disconnect whose time would end with the poll.
func TestDisconnectedScraperDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target, _ := newTestTarget(t, &script{}, testOptions{Named: named(t, "core.uptime")})
		selection := selected(t, target, "")
		ctx, cancel := context.WithTimeout(t.Context(), selection.Wait(0))
		defer cancel()
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		scraped, err := selection.Scrape(ctx)
		if err != nil {
			t.Fatal(err)
		}
		scraped.Release()
		if took := time.Since(start); took != time.Second {
			t.Errorf("the scrape took %v, want 1s", took)
		}
	})
}

// TestPollContinuesAfterItsOnlyScraperGaveUp checks that the poll is counted once.
func TestPollContinuesAfterItsOnlyScraperGaveUp(t *testing.T) {
	for name, scrape := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		},
		"disconnection": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slow := uptimeAnswer
				slow.after = 2 * time.Second
				client := &script{answers: map[string]answer{"core.uptime": slow}}
				target, log := newTestTarget(t, client, testOptions{Named: named(t, "core.uptime")})
				ctx, cancel := scrape(t.Context())
				defer cancel()
				start := time.Now()
				set, release := scrapeTarget(ctx, target)
				if took := time.Since(start); took != time.Second {
					t.Errorf("the scrape took %v", took)
				}
				checkSamples(t, set, // nothing has failed yet
					"exporter_failed_scrapes[] 0",
					"exporter_total_scrapes[] 0",
				)
				release()
				time.Sleep(2 * time.Second) // the poll ends meanwhile
				synctest.Wait()
				client.answers["core.uptime"] = uptimeAnswer
				if got := scrapeFor(t, target, time.Hour, "kamailio_exporter_total", "kamailio_exporter_failed"); got != "exporter_failed_scrapes[] 0\nexporter_total_scrapes[] 2\n" {
					t.Errorf("samples\n%s", got)
				}
				if asked := client.asked(); len(asked) != 2 || log.Len() > 0 {
					t.Errorf("Kamailio was called with %v, the log is %s", asked, log)
				}
			})
		})
	}
}

// TestScrapeThatGivesUpShowsTheFailuresOfTheLastPoll has scrapes give up before anything has arrived, and before the reply of
// one method has. What failed in the last poll stays visible, and nothing else looks like a failure.
func TestScrapeThatGivesUpShowsTheFailuresOfTheLastPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &script{answers: map[string]answer{}}
		target, _ := newTestTarget(t, client, testOptions{Named: named(t, "core.uptime", "tm.stats")})
		const prefixes = "kamailio_exporter_collector_success"
		scrapeTarget(t.Context(), target) // nothing arrives
		if got, want := scrapeFor(t, target, time.Second, prefixes, "kamailio_up"), "exporter_collector_success[core.uptime] 0\nexporter_collector_success[tm.stats] 0\nup[] 0\n"; got != want {
			t.Errorf("after a poll without a reply: samples\n%swant\n%s", got, want)
		}
		time.Sleep(time.Minute) // the poll ends meanwhile
		synctest.Wait()
		client.answers["core.uptime"] = uptimeAnswer
		scrapeTarget(t.Context(), target) // tm.stats does not arrive
		slow := uptimeAnswer
		slow.after = 2 * time.Second
		client.answers["core.uptime"] = slow
		if got, want := scrapeFor(t, target, time.Second, prefixes, "kamailio_up"), "exporter_collector_success[tm.stats] 0\n"; got != want {
			t.Errorf("after a poll with one reply: samples\n%swant\n%s", got, want)
		}
	})
}

// TestScrapesThatGiveUpBetweenTwoRepliesShareASet has scrapes give up at different times.
func TestScrapesThatGiveUpBetweenTwoRepliesShareASet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spare.drop()
		slow := tmAnswer
		slow.after = 2 * time.Second
		client := &script{answers: map[string]answer{"core.uptime": uptimeAnswer, "tm.stats": slow}}
		target, _ := newTestTarget(t, client, testOptions{Named: named(t, "core.uptime", "tm.stats", "sl.stats")})
		giveUpAfter := func(limit time.Duration) (string, func(), *metric.Set) {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			set, release := scrapeTarget(ctx, target)
			return samples(set, "kamailio_core", "kamailio_tm"), release, set
		}
		one, releaseOne, first := giveUpAfter(time.Second)
		other, releaseOther, second := giveUpAfter(time.Second / 2)
		later, releaseLater, third := giveUpAfter(time.Second)
		if first != second || first == third {
			t.Errorf("the first two scrapes share a set: %t, want true; the third one shares it: %t, want false", first == second, first == third)
		}
		if want := "core_uptime_uptime_total[] 42\n"; one != want || other != want || later != want+"tm_stats_current[] 7\n" {
			t.Errorf("samples\n%s\n%s\n%s", one, other, later)
		}
		releaseOne()
		if isSpare(first) {
			t.Error("the set was recycled while a scrape used it")
		}
		releaseOther()
		if !isSpare(first) {
			t.Error("the set was not recycled")
		}
		releaseLater()
	})
}

func TestPollStoppedByCloseIsNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target, log := newTestTarget(t, &script{}, testOptions{Named: named(t, "core.uptime")})
		scrapeFor(t, target, time.Second)
		start := time.Now()
		if err := target.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 0 || log.Len() > 0 || target.report.ended != 0 {
			t.Errorf("Close took %v, %d polls were counted, the log is %s", took, target.report.ended, log)
		}
	})
}

// successes scrapes and returns the values of collector_success, by collector.
func successes(t *testing.T, target *Target) string {
	t.Helper()
	text := scrapeFor(t, target, time.Hour, "kamailio_exporter_collector_success")
	return strings.NewReplacer("exporter_collector_success", "", "\n", " ").Replace(text)
}

// TestHangingKamailio has a Kamailio with two methods hang. The outage is logged once,
// and only the methods that Kamailio has or that are named are reported.
func TestHangingKamailio(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &script{methods: []string{"core.uptime", "tm.stats"}, answers: map[string]answer{"core.uptime": uptimeAnswer, "tm.stats": tmAnswer}}
		target, log := newTestTarget(t, client, testOptions{Auto: true, Named: named(t, "tls.info")})
		client.answers["tls.info"] = answer{err: notFound}
		if got, want := successes(t, target), "[core.uptime] 1 [tls.info] 0 [tm.stats] 1 "; got != want {
			t.Errorf("before: %s, want %s", got, want)
		}
		log.Reset()
		client.answers = nil // the list of methods is that of the connection
		for i := range 4 {
			if got, want := successes(t, target), "[core.uptime] 0 [tls.info] 0 [tm.stats] 0 "; got != want {
				t.Errorf("poll %d while it hangs: %s, want %s", i, got, want)
			}
			client.methodsHang = true
		}
		client.methodsHang, client.methodsErr = false, errors.New("dial unix: no such file") // Kamailio ended
		if got, want := successes(t, target), "[core.uptime] 0 [tls.info] 0 [tm.stats] 0 "; got != want {
			t.Errorf("without a socket: %s, want %s", got, want)
		}
		if text := log.String(); strings.Count(text, "no reply arrived in time") != 1 || strings.Count(text, "level=ERROR") != 2 {
			t.Errorf("log %s", text)
		}
		for _, asked := range client.asked() {
			if !slices.Equal(asked, []string{"core.uptime", "tm.stats", "tls.info"}) {
				t.Errorf("called %v", asked)
			}
		}
	})
}

// TestMethodsWithoutSettingsDoNotFail has methods that are not called, because a setting is missing, before and after Kamailio ends.
func TestMethodsWithoutSettingsDoNotFail(t *testing.T) {
	client := &script{methods: []string{"core.uptime", "htable.get", "pv.shvGet"}, answers: map[string]answer{"core.uptime": uptimeAnswer}}
	target, _ := newTestTarget(t, client, testOptions{Auto: true})
	if got, want := successes(t, target), "[core.uptime] 1 "; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	client.methods, client.methodsErr = nil, errors.New("dial unix: no such file")
	if got, want := successes(t, target), "[core.uptime] 0 "; got != want {
		t.Errorf("after the end of Kamailio: %s, want %s", got, want)
	}
}

// TestOnlyNamedMethodsFailIfKamailioAlwaysHangs has a Kamailio whose methods are not
// known.
func TestOnlyNamedMethodsFailIfKamailioAlwaysHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target, log := newTestTarget(t, &script{methodsHang: true}, testOptions{Auto: true, Named: named(t, "tls.info")})
		for range 3 {
			if got, want := successes(t, target), "[tls.info] 0 "; got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
		if text := log.String(); strings.Count(text, "level=ERROR") != 1 || !strings.Contains(text, "no reply arrived in time") {
			t.Errorf("log %s", text)
		}
	})
}

// TestServerThatDoesNotListItsMethods has a server reply to system.listMethods with a
// fault. A method that got a reply once is expected from then on.
func TestServerThatDoesNotListItsMethods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &script{methodsErr: &rpc.Fault{Code: 500, Reason: "buffer overflow"}, answers: map[string]answer{}}
		for _, c := range collector.All {
			client.answers[c.Method] = answer{err: notFound}
		}
		client.answers["core.uptime"], client.answers["tm.stats"] = uptimeAnswer, tmAnswer
		target, _ := newTestTarget(t, client, testOptions{Auto: true})
		if got, want := successes(t, target), "[core.uptime] 1 [tm.stats] 1 "; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		delete(client.answers, "tm.stats")
		if got, want := successes(t, target), "[core.uptime] 1 [tm.stats] 0 "; got != want {
			t.Errorf("while a method hangs: %s, want %s", got, want)
		}
		client.answers["tm.stats"] = answer{err: notFound}
		if got, want := successes(t, target), "[core.uptime] 1 "; got != want {
			t.Errorf("after the method was removed: %s, want %s", got, want)
		}
	})
}

// TestServerWithoutAnyKnownMethodIsDown has a server reply to all calls that there is
// no such method, as a JSON-RPC server that is not Kamailio does.
func TestServerWithoutAnyKnownMethodIsDown(t *testing.T) {
	for name, client := range map[string]*script{
		"a fault instead of a list": {methodsErr: &rpc.Fault{Code: 500, Reason: "Method Not Found"}},
		"a list of other methods":   {methods: []string{"weather.get"}},
	} {
		t.Run(name, func(t *testing.T) {
			client.answers = map[string]answer{}
			for _, c := range collector.All {
				client.answers[c.Method] = answer{err: notFound}
			}
			target, log := newTestTarget(t, client, testOptions{Auto: true, Named: named(t, "tm.stats", "dlg.stats_active")})
			for i := range 3 {
				if got, want := scrapeFor(t, target, time.Hour, "kamailio_exporter_collector", "kamailio_up"), "exporter_collector_success[dlg.stats_active] 0\nexporter_collector_success[tm.stats] 0\nup[] 0\n"; got != want {
					t.Errorf("poll %d: samples\n%swant\n%s", i, got, want)
				}
			}
			if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, hint.ErrNotKamailio.Error()) || !strings.Contains(text, "hint=") {
				t.Errorf("log %s", text)
			}
		})
	}
}

// TestServerWithoutAMethodOfTheCoreIsDown names a method that every Kamailio has, and one that only some have.
func TestServerWithoutAMethodOfTheCoreIsDown(t *testing.T) {
	for method, want := range map[string]string{"core.uptime": "up[] 0\n", "tls.info": "up[] 1\n"} {
		client := &script{answers: map[string]answer{method: {err: notFound}}}
		target, _ := newTestTarget(t, client, testOptions{Named: named(t, method)})
		want = "exporter_collector_success[" + method + "] 0\n" + want
		if got := scrapeFor(t, target, time.Hour, "kamailio_exporter_collector", "kamailio_up"); got != want {
			t.Errorf("%s: samples\n%swant\n%s", method, got, want)
		}
	}
}

// TestLargeMethodsAreCalledLast names methods in any order, together with settings that
// add methods.
func TestLargeMethodsAreCalledLast(t *testing.T) {
	key, err := collector.ParseHtableKey("a=>b")
	if err != nil {
		t.Fatal(err)
	}
	profile, err := collector.ParseDialogProfile("all")
	if err != nil {
		t.Fatal(err)
	}
	settings := collector.Settings{HtableKeys: []collector.HtableKey{key}, DialogProfiles: []collector.DialogProfile{profile}}
	for name, options := range map[string]testOptions{
		"named": {Named: slices.Concat(named(t, "dispatcher.list", "uac.reg_dump"), named(t, "htable.get"), named(t, "dlg.profile_get_size"), named(t, "core.uptime"))},
		"auto":  {Auto: true, Named: slices.Concat(named(t, "dispatcher.list"), named(t, "htable.get"), named(t, "dlg.stats_active"))},
	} {
		t.Run(name, func(t *testing.T) {
			options.Settings = settings
			client := &script{answers: map[string]answer{}}
			for _, c := range collector.All {
				client.methods = append(client.methods, c.Method)
				client.answers[c.Method] = answer{err: &rpc.Fault{Code: 404, Reason: "nothing"}}
			}
			target, _ := newTestTarget(t, client, options)
			scrapeTarget(t.Context(), target)
			asked := client.asked()[0]
			large := func(method string) bool { return named(t, method)[0].Large }
			first := slices.IndexFunc(asked, large)
			if first <= 0 || slices.ContainsFunc(asked[first:], func(method string) bool { return !large(method) }) {
				t.Errorf("called %v", asked)
			}
		})
	}
}

// TestReplyLargerThanADatagram has dispatcher.list never get a reply. Few polls wait
// for it until their deadline, it is logged once, and it recovers.
func TestReplyLargerThanADatagram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &script{methods: []string{"core.uptime", "dispatcher.list", "permissions.addressDump"}, answers: map[string]answer{
			"core.uptime": uptimeAnswer, "permissions.addressDump": {records: []any{rpc.Members{}}},
		}}
		target, log := newTestTarget(t, client, testOptions{Auto: true, URI: "jsonrpc+unixgram:/run/kamailio/kamailio_rpc.sock"})
		var slow []int
		for i := range 200 {
			start := time.Now()
			got := scrapeFor(t, target, time.Hour, "kamailio_exporter_collector_success[dispatcher", "kamailio_up", "kamailio_exporter_collector_success", "kamailio_core")
			if want := "core_uptime_uptime_total[] 42\nexporter_collector_success[core.uptime] 1\nexporter_collector_success[dispatcher.list] 0\n"; !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "up[] 1\n") {
				t.Fatalf("poll %d: samples\n%s", i, got)
			}
			if time.Since(start) > 0 {
				slow = append(slow, i)
			}
		}
		if want := []int{0, 2, 5, 10, 19, 36, 69, 134, 199}; !slices.Equal(slow, want) {
			t.Errorf("polls %v lasted until their deadline, want %v", slow, want)
		}
		asked := client.asked()
		if last := asked[len(asked)-1]; last[len(last)-1] != "dispatcher.list" {
			t.Errorf("the method with the lost reply is not called last: %v", last)
		}
		if text := log.String(); strings.Count(text, "level=ERROR") != 1 || !strings.Contains(text, "Message too long") || !strings.Contains(text, "http://") || !strings.Contains(text, "do not call the method") {
			t.Errorf("log %s", text)
		}

		client.answers["dispatcher.list"] = answer{err: &rpc.Fault{Code: 500, Reason: "No Destination Sets"}}
		for i := 0; ; i++ {
			if strings.Contains(successes(t, target), "[dispatcher.list] 1") {
				break
			}
			if i > maxPause {
				t.Fatal("the method is not called again")
			}
		}
		if !strings.Contains(successes(t, target), "[dispatcher.list] 1") {
			t.Error("the method is not called although it got a reply")
		}
	})
}

// TestLostMethodIsCalledAfterARestart has Kamailio not run during one poll.
func TestLostMethodIsCalledAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &script{answers: map[string]answer{"core.uptime": uptimeAnswer}}
		target, _ := newTestTarget(t, client, testOptions{Named: named(t, "core.uptime", "dispatcher.list"), URI: "unixd:/run/kamailio/kamailio_ctl"})
		for range 6 { // the next four do not call the method
			successes(t, target)
		}
		client.answers = map[string]answer{"core.uptime": {err: errors.New("dial: refused")}, "dispatcher.list": {err: errors.New("dial: refused")}}
		successes(t, target)
		client.answers = map[string]answer{"core.uptime": uptimeAnswer, "dispatcher.list": {err: &rpc.Fault{Code: 500, Reason: "No Destination Sets"}}}
		if got, want := successes(t, target), "[core.uptime] 1 [dispatcher.list] 1 "; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// TestSlowMethodOverAStreamIsAlwaysCalled has a transport that does not lose large
// replies.
func TestSlowMethodOverAStreamIsAlwaysCalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &script{answers: map[string]answer{"core.uptime": uptimeAnswer}}
		target, _ := newTestTarget(t, client, testOptions{Named: named(t, "core.uptime", "dispatcher.list")})
		for range 3 {
			successes(t, target)
		}
		for _, batch := range client.asked() {
			if !slices.Contains(batch, "dispatcher.list") {
				t.Errorf("called %v", batch)
			}
		}
	})
}

// TestServerThatIsNotAKamailio has HTTP servers whose responses resemble faults of
// Kamailio.
func TestServerThatIsNotAKamailio(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string // %s is the id
	}{
		"a gateway's own error":          {http.StatusBadGateway, `{"error":{}}`},
		"an error without an id":         {http.StatusOK, `{"error":{}}`},
		"an error with an id of null":    {http.StatusOK, `{"jsonrpc":"2.0","error":{"code":500,"message":"Internal error"},"id":null}`},
		"an error with another id":       {http.StatusOK, `{"jsonrpc":"2.0","error":{"code":500,"message":"Method Not Found"},"id":%s1}`},
		"a JSON-RPC server of its own":   {http.StatusOK, `{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":%s}`},
		"a Kamailio without any methods": {http.StatusInternalServerError, `{"jsonrpc":"2.0","error":{"code":500,"message":"Method Not Found"},"id":%s}`},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var request struct{ ID json.RawMessage }
				if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
					t.Error(err)
				}
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, strings.ReplaceAll(test.body, "%s", string(request.ID)))
			}))
			defer server.Close()
			uri := server.URL + "/RPC"
			client, err := dial.New(uri)
			if err != nil {
				t.Fatal(err)
			}
			target, log := newTestTarget(t, client, testOptions{Auto: true, Named: named(t, "tm.stats"), URI: uri})
			for range 3 {
				if got, want := scrapeFor(t, target, time.Minute, "kamailio_up", "kamailio_exporter_collector_success"), "exporter_collector_success[tm.stats] 0\nup[] 0\n"; got != want {
					t.Errorf("samples\n%swant\n%s", got, want)
				}
			}
			if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "jsonrpc_dispatch()") {
				t.Errorf("log %s", text)
			}
		})
	}
}
