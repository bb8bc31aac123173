//go:build linux

package xhttpprom

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// TestLiveKamailiosOwnValuesAreDropped starts a Kamailio 6.0 whose page has the memory of all processes, the uptime and the
// statistics after the metrics of the script. Its lines of pkgmem_total_size lack a comma.
func TestLiveKamailiosOwnValuesAreDropped(t *testing.T) {
	k := lab.StartTest(t, lab.Options{Suite: lab.Trixie, Config: `
modparam("xhttp_prom", "xhttp_prom_pkg_stats", 1)
modparam("xhttp_prom", "xhttp_prom_uptime_stat", 1)
modparam("xhttp_prom", "xhttp_prom_tags", "site=\"ams\"")
`})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	var traffic sync.WaitGroup
	traffic.Go(func() { _ = lab.Traffic(ctx, k) })
	defer traffic.Wait()
	defer cancel()
	client, err := NewClient("http://"+k.SIPAddr()+"/metrics", http.DefaultClient)
	if err != nil {
		t.Fatal(err)
	}
	var got Page
	for len(got.Families) < 3 { // the script defines them at the first call
		if got, err = client.Fetch(ctx); err != nil {
			t.Fatal(err)
		}
		if others := slices.DeleteFunc(slices.Clone(got.Families), ofTheScript); len(others) > 0 || got.BadCount > 0 {
			t.Fatalf("families %v, bad %q", others, got.Bad)
		}
	}
}

func ofTheScript(family *dto.MetricFamily) bool {
	return strings.HasPrefix(family.GetName(), "kamailio_lab_")
}
