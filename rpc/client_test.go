package rpc

import (
	"context"
	"iter"
	"math"
	"testing"
)

// echo is a client that replies with the name of the method.
type echo struct{}

func (echo) Do(_ context.Context, calls ...Call) []Reply {
	replies := make([]Reply, len(calls))
	for i, call := range calls {
		replies[i].Value, replies[i].Err = ValueOf(call.Method)
		if call.Method == "bad" || call.Idempotent {
			replies[i] = Reply{Err: &Fault{Code: 400, Reason: "bad"}}
		}
	}
	return replies
}

func (echo) Stream(context.Context, ...Call) iter.Seq2[int, Reply] { return nil }

func (echo) Close() error { return nil }

func TestOne(t *testing.T) {
	got, err := One(t.Context(), echo{}, "core.uptime", 1)
	if err != nil || got.Text() != "core.uptime" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := One(t.Context(), echo{}, "bad"); err == nil || err.Error() != "Kamailio replied with fault 400: bad" {
		t.Errorf("got %v", err)
	}
}

func TestCallString(t *testing.T) {
	for want, call := range map[string]Call{
		"core.uptime":              {Method: "core.uptime"},
		"htable.get calls total":   {Method: "htable.get", Args: []any{"calls", "total"}},
		"dispatcher.oclist 1 true": {Method: "dispatcher.oclist", Args: []any{1, true}},
	} {
		if got := call.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestFaultNoSuchMethod(t *testing.T) {
	for _, test := range []struct {
		fault Fault
		want  bool
	}{
		{Fault{500, "command no.such not found"}, true},
		{Fault{500, "Method Not Found"}, true},
		{Fault{-32601, "no such thing"}, true},
		{Fault{404, "command no.such not found"}, false},
		{Fault{500, "Profile not found"}, false},
		{Fault{500, "command failed"}, false},
		{Fault{500, "No Destination Sets"}, false},
	} {
		if got := test.fault.NoSuchMethod(); got != test.want {
			t.Errorf("%v: got %v", &test.fault, got)
		}
	}
}

func TestMaximumSizeLimit(t *testing.T) {
	if size := (Limits{Size: math.MaxInt}).WithDefaults().Size; size != 1<<28-1 {
		t.Errorf("the maximum Size is %d, want %d", size, 1<<28-1)
	}
}
