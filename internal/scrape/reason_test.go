package scrape

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpctest"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// reasonOf returns the reasons of a poll whose samples are 1, separated by spaces.
func reasonOf(t *testing.T, target *Target) string {
	t.Helper()
	var reasons []string
	for _, family := range scraped(t.Context(), target).Families() {
		for i := range family.Len() {
			if value, labels := family.Sample(i); family.Desc == scrapeError && value == 1 {
				reasons = append(reasons, labels...)
			}
		}
	}
	return strings.Join(reasons, " ")
}

// TestReasonOfServerWithoutMethods has servers that have no method except system.listMethods.
func TestReasonOfServerWithoutMethods(t *testing.T) {
	for want, list := range map[string][]any{"no_methods": nil, "not_binrpc": {"weather.get"}} {
		server := binrpctest.NewServer(func(_ context.Context, call rpc.Call) ([]any, error) {
			if call.Method == "system.listMethods" {
				return list, nil
			}
			return nil, &rpc.Fault{Code: 500, Reason: "command " + call.Method + " not found"}
		})
		t.Cleanup(func() { _ = server.Close() })
		client, err := dial.New(server.URI)
		if err != nil {
			t.Fatal(err)
		}
		target, log := newTestTarget(t, client, testOptions{URI: server.URI, Auto: true})
		if got := reasonOf(t, target); got != want {
			t.Errorf("list %v: reason %q, want %s\n%s", list, got, want, log)
		}
	}
}

// TestReasonOfLateNameServer has a client whose host name is not resolved in time.
func TestReasonOfLateNameServer(t *testing.T) {
	late := &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{UnwrapErr: context.DeadlineExceeded, Err: "i/o timeout", Name: "sbc.invalid", IsTimeout: true}}
	if !errors.Is(late, context.DeadlineExceeded) {
		t.Fatal("the error is not that of package net")
	}
	client := &script{methodsErr: late, answers: map[string]answer{}}
	for _, c := range collector.All {
		client.answers[c.Method] = answer{err: late}
	}
	for name, options := range map[string]testOptions{"auto": {Auto: true}, "named": {Named: named(t, "core.uptime")}} {
		target, log := newTestTarget(t, client, options)
		if got := reasonOf(t, target); got != "dns" || !strings.Contains(log.String(), "sbc.invalid") {
			t.Errorf("%s: reason %q, want dns; log %s", name, got, log)
		}
	}
}
