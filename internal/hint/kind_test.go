package hint

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/host"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/jsonrpc"
)

func TestKind(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "unix", Source: &net.UnixAddr{Name: "@1", Net: "unix"}, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	for _, test := range []struct {
		err      error
		kind     string
		ofMethod bool
	}{
		{&rpc.Fault{Code: 500, Reason: "command x not found"}, "no such method", true},
		{&rpc.Fault{Code: 500, Reason: "Internal error creating dest struct"}, "buffer", true},
		{&rpc.Fault{Code: 404, Reason: "made up"}, "fault", true},
		{&rpc.LimitError{}, "limit", true},
		{errors.New("made up"), "other", true},
		{context.DeadlineExceeded, "timeout", false},
		{context.Canceled, "timeout", false},
		{rpc.ErrNoDatagram, "timeout", false},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, "timeout", false},
		{io.EOF, io.EOF.Error(), false},
		{rpc.ErrClosed, rpc.ErrClosed.Error(), false},
		{binrpc.ErrClosedUnanswered, binrpc.ErrClosedUnanswered.Error(), false},
		{refused, "dial: connect: connection refused", false},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "made up", Name: "made up", IsTimeout: true}}, "name of the host", false},
		{&binrpc.StallError{After: 1}, "stall", false},
		{&binrpc.SyntaxError{}, "not BINRPC", false},
		{&jsonrpc.SyntaxError{}, "not JSON-RPC", false},
		{&jsonrpc.StatusError{Code: 403}, "HTTP status", false},
		{&tls.CertificateVerificationError{Err: errors.New("made up")}, "certificate", false},
	} {
		for _, err := range []error{test.err, fmt.Errorf("call made up of x: %w", test.err)} {
			if kind, ofMethod := Kind(err); kind != test.kind || ofMethod != test.ofMethod || strings.Contains(kind, "made up") {
				t.Errorf("%v: %q, %t, want %q, %t", err, kind, ofMethod, test.kind, test.ofMethod)
			}
		}
	}
}

func TestTextReplacesSettings(t *testing.T) {
	hint := Hint("set {timeout} or {uri}, then {timeout}, {other}")
	if got, want := hint.Text(strings.ToUpper), "set TIMEOUT or URI, then TIMEOUT, {other}"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Hint("").Text(strings.ToUpper); got != "" {
		t.Errorf("the text of the empty hint is %q", got)
	}
}

// TestSettingsOfHintsAreFlags checks that Text finds all settings of all hints, and that each is a flag of the exporter.
func TestSettingsOfHintsAreFlags(t *testing.T) {
	app := config.App()
	for _, key := range keys {
		if name, _ := strings.CutPrefix(config.SettingName(key), "--"); app.GetFlag(name) == nil {
			t.Errorf("%s is not a flag", name)
		}
	}
	hints := []Hint{XHTTPProm}
	for _, uri := range []string{"unix:/no/such", "unixd:/no/such", "tcp://127.0.0.1:2046", "http://127.0.0.1/RPC", "jsonrpc+unixgram:/no/such", "jsonrpc+udp://127.0.0.1:1"} {
		target, err := dial.ParseTarget(uri)
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{
			os.ErrNotExist, os.ErrPermission, syscall.ECONNREFUSED, syscall.EAGAIN, syscall.EPROTOTYPE, io.EOF, ErrLostReply, ErrNotKamailio, context.DeadlineExceeded,
			binrpc.ErrClosedUnanswered, &binrpc.StallError{}, &binrpc.SyntaxError{}, &rpc.LimitError{}, &rpc.Fault{Code: 500, Reason: "Method Not Found"},
			&rpc.Fault{Code: 500, Reason: "Internal error"}, &jsonrpc.SyntaxError{}, &jsonrpc.StatusError{Code: 401}, &jsonrpc.StatusError{Code: 404},
			&tls.CertificateVerificationError{}, collector.ErrNoSuchStatistic, &rpc.Fault{Code: 404, Reason: "Variable not found"},
		} {
			hints = append(hints, For(err, target))
		}
	}
	for _, err := range []error{ErrNoUnixSocket, host.ErrOtherNamespace, host.ErrHidden, host.ErrOtherNetwork} {
		if ForHost(err) == "" {
			t.Errorf("%v has no hint", err)
		}
		hints = append(hints, ForHost(err))
	}
	named := map[string]bool{}
	for _, hint := range hints {
		text := hint.Text(func(key string) string {
			named[key] = named[key] || strings.Contains(string(hint), "{"+key+"}")
			return "SETTING"
		})
		if strings.ContainsAny(text, "{}") || strings.Contains(text, "--") {
			t.Errorf("the hint has a setting that Text does not replace, or a flag: %s", text)
		}
	}
	for _, key := range keys {
		if !named[key] {
			t.Errorf("no hint names the setting %s", key)
		}
	}
}
