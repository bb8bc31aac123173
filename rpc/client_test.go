package rpc

import (
	"context"
	"errors"
	"iter"
	"testing"
)

// backwards is a client that answers with the method, last call first.
type backwards struct{}

func (backwards) Call(_ context.Context, calls ...Call) iter.Seq2[int, Reply] {
	return func(yield func(int, Reply) bool) {
		for i := len(calls) - 1; i >= 0; i-- {
			v, err := ValueOf(calls[i].Method)
			if calls[i].Method == "bad" {
				v, err = Value{}, &Fault{Code: 400, Reason: "bad"}
			}
			if !yield(i, Reply{Value: v, Err: err}) {
				return
			}
		}
	}
}

func (backwards) Close() error { return nil }

// silent is a client that breaks its promise.
type silent struct{ backwards }

func (silent) Call(context.Context, ...Call) iter.Seq2[int, Reply] {
	return func(func(int, Reply) bool) {}
}

func TestOne(t *testing.T) {
	got, err := One(t.Context(), backwards{}, "core.uptime", 1)
	if err != nil || got.Text() != "core.uptime" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := One(t.Context(), backwards{}, "bad"); err == nil || err.Error() != "Kamailio answered with fault 400: bad" {
		t.Errorf("got %v", err)
	}
	if _, err := One(t.Context(), silent{}, "a"); err == nil {
		t.Error("no reply is no error")
	}
}

func TestBatch(t *testing.T) {
	replies := Batch(t.Context(), backwards{}, Call{Method: "a"}, Call{Method: "bad"}, Call{Method: "c"})
	if len(replies) != 3 || replies[0].Value.Text() != "a" || replies[2].Value.Text() != "c" {
		t.Errorf("got %v", replies)
	}
	if fault, ok := errors.AsType[*Fault](replies[1].Err); !ok || fault.Code != 400 {
		t.Errorf("got %v", replies[1].Err)
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
