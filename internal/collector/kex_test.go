package collector

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

func pkgOf(entry, used, free any, description string) rpc.Members {
	return rpc.Members{
		{Name: "entry", Value: entry}, {Name: "pid", Value: 7}, {Name: "rank", Value: -2},
		{Name: "used", Value: used}, {Name: "free", Value: free}, {Name: "real_used", Value: used},
		{Name: "total_size", Value: 8000}, {Name: "total_frags", Value: entry}, {Name: "desc", Value: description},
	}
}

// TestProcessesWithoutValues has unused entries of Kamailio's process table, and
// processes that do not report values. Kamailio sends zeros for both.
func TestProcessesWithoutValues(t *testing.T) {
	got, skips := collect(t, pkgStats, reply(t,
		pkgOf(3, int32(-1), 0, "udp receiver child=2 sock=127.0.0.1:5060"),
		pkgOf(4, 0, 0, "process without values"),
		pkgOf("fifth", 1, 1, "ctl handler"),
		rpc.Members{{Name: "entry", Value: 6}, {Name: "desc", Value: "ctl handler"}, {Name: "free", Value: 5}},
	))
	checkSamples(t, got,
		`kamailio_pkg_fragments{process="3",role="udp receiver"} 3`,
		`kamailio_pkg_free_bytes{process="3",role="udp receiver"} 0`,
		`kamailio_pkg_free_bytes{process="6",role="ctl handler"} 5`,
		`kamailio_pkg_real_used_bytes{process="3",role="udp receiver"} 4.294967295e+09`,
		`kamailio_pkg_size_bytes{process="3",role="udp receiver"} 8000`,
		`kamailio_pkg_used_bytes{process="3",role="udp receiver"} 4.294967295e+09`,
	)
	checkSkips(t, skips, metric.Skip{Collector: "pkg.stats", Reason: metric.NotANumber, Count: 1, Example: "entry is a string"})
}

func TestPkgByRole(t *testing.T) {
	set := metric.NewSet()
	err := pkgStats.Collect(set, Settings{Short: []string{"pkg.stats"}}, []Reply{{Reply: reply(t,
		pkgOf(1, 1000, 7000, "udp receiver child=0 sock=127.0.0.1:5060"),
		pkgOf(2, int32(-1), "much", "udp receiver child=1 sock=127.0.0.1:5060"),
		pkgOf(3, 1500, 6500, "udp receiver child=2 sock=127.0.0.1:5060"),
		pkgOf(4, 0, 0, "process without values"),
		pkgOf(5, 1, 7999, "ctl handler"),
	)}})
	if err != nil {
		t.Fatal(err)
	}
	checkSamples(t, samples(t, set),
		`kamailio_pkg_role_fragments_max{role="ctl handler"} 5`,
		`kamailio_pkg_role_fragments_max{role="udp receiver"} 3`,
		`kamailio_pkg_role_free_bytes{role="ctl handler"} 7999`,
		`kamailio_pkg_role_free_bytes{role="udp receiver"} 13500`,
		`kamailio_pkg_role_free_min_bytes{role="ctl handler"} 7999`,
		`kamailio_pkg_role_free_min_bytes{role="udp receiver"} 6500`,
		`kamailio_pkg_role_real_used_bytes{role="ctl handler"} 1`,
		`kamailio_pkg_role_real_used_bytes{role="udp receiver"} 4.294969795e+09`,
		`kamailio_pkg_role_size_bytes{role="ctl handler"} 8000`,
		`kamailio_pkg_role_size_bytes{role="udp receiver"} 24000`,
		`kamailio_pkg_role_used_bytes{role="ctl handler"} 1`,
		`kamailio_pkg_role_used_bytes{role="udp receiver"} 4.294969795e+09`,
	)
	checkSkips(t, set.Skips(), metric.Skip{Collector: "pkg.stats", Reason: metric.NotANumber, Count: 2, Example: "free is a string"})
}

// TestFullPrivateMemory has a process that uses more bytes, with the overhead, than there are, so that Kamailio's number of free
// bytes is negative.
func TestFullPrivateMemory(t *testing.T) {
	full := pkgOf(1, 8100, int32(-100), "ctl handler")
	got, _ := collect(t, pkgStats, reply(t, full))
	if !slices.Contains(got, `kamailio_pkg_free_bytes{process="1",role="ctl handler"} 0`) {
		t.Errorf("samples %q", got)
	}
	set := metric.NewSet()
	if err := pkgStats.Collect(set, Settings{Short: []string{"pkg.stats"}}, []Reply{{Reply: reply(t, full)}}); err != nil {
		t.Fatal(err)
	}
	if got := samples(t, set); !slices.Contains(got, `kamailio_pkg_role_free_min_bytes{role="ctl handler"} 0`) {
		t.Errorf("samples of the role %q", got)
	}
}

// TestPkgByRoleGolden compares the short form of captured replies with golden files.
func TestPkgByRoleGolden(t *testing.T) {
	for version, when := range captured {
		set := metric.NewSet()
		answer := Reply{Reply: readReply(t, filepath.Join("testdata", version, "pkg.stats.binrpc"), when)}
		if err := pkgStats.Collect(set, Settings{Short: []string{"pkg.stats"}}, []Reply{answer}); err != nil {
			t.Fatal(err)
		}
		checkGolden(t, filepath.Join("testdata", version, "pkg.stats_short.prom"), exposition(t, set))
	}
}
