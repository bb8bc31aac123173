package hint

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/jsonrpc"
)

func TestHintsOfErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "absent")
	socket := filepath.Join(t.TempDir(), "kamailio_ctl")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := os.Chmod(socket, 0o600); err != nil {
		t.Fatal(err)
	}
	permission := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EACCES)}
	tests := []struct {
		name string
		err  error
		uri  string
		want []string
	}{
		{"permission", permission, "unix:" + socket, []string{"mode 0600", `modparam("ctl", "mode", 0660)`, "group", "belongs to"}},
		{"permission of a directory", permission, "unix:/no/such/kamailio_ctl", []string{`modparam("ctl", "mode", 0660)`, "directories above the socket"}},
		{"wrong kind of socket", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EPROTOTYPE)}, "unix:" + file, []string{"unixd:" + file + " if it is of the Kamailio module ctl", "jsonrpc+unixgram:" + file}},
		{"stream socket", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EPROTOTYPE)}, "unixd:" + file, []string{"use unix:" + file}},
		{"full backlog", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EAGAIN)}, "unix:" + file, []string{"overloaded, or it hangs"}},
		{"no descriptors", &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}, "tcp://127.0.0.1:2046", []string{"LimitNOFILE="}},
		{"not BINRPC", fmt.Errorf("%w: %w", binrpc.ErrOutOfStep, &binrpc.SyntaxError{}), "tcp://127.0.0.1:5060", []string{"does not speak BINRPC as Kamailio does", "SETTING uri"}},
		{"not JSON-RPC", &jsonrpc.SyntaxError{}, "jsonrpc+udp://127.0.0.1:5060", []string{"does not speak JSON-RPC as Kamailio does", "dgram_socket"}},
		{"wrong path", &jsonrpc.StatusError{Code: 404}, "http://127.0.0.1:5060/", []string{"jsonrpc_dispatch()"}},
		{"password", &jsonrpc.StatusError{Code: 401}, "http://127.0.0.1:5060/", []string{"SETTING auth"}},
		{"permission of JSON-RPC", permission, "jsonrpc+unixgram:" + file, []string{"dgram_mode"}},
		{"unknown CA", &tls.CertificateVerificationError{Err: errors.New("unknown")}, "https://127.0.0.1:5061/RPC", []string{"ca_file", "SETTING auth"}},
		{"TLS", fmt.Errorf("ask: %w", io.EOF), "http://127.0.0.1:5061/RPC", []string{"https://"}},
		{"too large", &rpc.LimitError{}, "unix:" + file, []string{"larger than the exporter accepts"}},
		{"no statistic", fmt.Errorf("%w: a:b", collector.ErrNoSuchStatistic), "unix:" + file, []string{"SETTING stats_groups", "kamrpc -u unix:"}},
		{"half a reply", &binrpc.StallError{}, "unix:" + file, []string{"not read fast enough"}},
		{"timeout", context.DeadlineExceeded, "unix:" + file, []string{"kamrpc -u unix:", "SETTING timeout"}},
		{"timeout of JSON-RPC", context.DeadlineExceeded, "https://127.0.0.1:5061/RPC", []string{"jsonrpc_dispatch()", "http or https"}},
		{"timeout of TCP", context.DeadlineExceeded, "tcp://127.0.0.1:5060", []string{"not one for SIP"}},
		{"timeout of a datagram", &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, "udp://127.0.0.1:2049", []string{"not one for SIP", "kamrpc -u udp://127.0.0.1:2049 core.uptime", "SETTING timeout"}},
		{"absent method", &rpc.Fault{Code: 500, Reason: "command tls.info not found"}, "unix:" + file, []string{"load the Kamailio module", "SETTING methods"}},
		{"small buffer", &rpc.Fault{Code: 500, Reason: "Internal error creating dest struct"}, "unix:" + file, []string{"binrpc_struct_max_body_size", "KiB"}},
		{"small buffer for routes", &rpc.Fault{Code: 500, Reason: "Failed to add data to response"}, "unix:" + file, []string{"binrpc_struct_max_body_size", "KiB"}},
		{"no shared variable", &rpc.Fault{Code: 404, Reason: "Variable not found"}, "unix:" + file, []string{"SETTING shv", "shvset", "kamrpc -u unix:"}},
		{"a fault without a hint", &rpc.Fault{Code: 404, Reason: "no such table"}, "unix:" + file, []string{""}},
		{"an error without a hint", errors.New("odd"), "unix:" + file, []string{""}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := hintText(t, test.err, test.uri)
			for _, want := range test.want {
				if !strings.Contains(got, want) || want == "" && got != "" {
					t.Errorf("hint %q, want %q in it", got, want)
				}
			}
		})
	}
}

// TestHintsOfRealErrors makes the errors that do not need a Kamailio.
func TestHintsOfRealErrors(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	listener.Close()

	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := tcp.Addr().String()
	tcp.Close()

	datagram := filepath.Join(dir, "datagram")
	unixgram, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: datagram, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer unixgram.Close()

	tests := map[string]string{
		"unix:" + filepath.Join(dir, "absent"): "there is no such socket: check that Kamailio is running",
		"unix:" + stale:                        "nothing listens there",
		"tcp://" + nobody:                      `modparam("ctl", "binrpc", "tcp:` + nobody + `")`,
		"udp://" + nobody:                      "nothing listens there",
		"jsonrpc+udp://" + nobody:              `modparam("jsonrpcs", "dgram_socket", "udp:` + nobody + `")`,
		"jsonrpc+tcp://" + nobody:              `modparam("jsonrpcs", "tcp_socket", "tcp:` + nobody + `")`,
		"http://" + nobody + "/RPC":            "jsonrpc_dispatch()",
		"jsonrpc+unixgram:" + dir + "/nobody":  `modparam("jsonrpcs", "dgram_socket", "` + dir + `/nobody")`,
		"unixd:" + dir + "/nobody":             `modparam("ctl", "binrpc", "unixd:` + dir + `/nobody")`,
		"unix:" + datagram:                     "jsonrpc+unixgram:" + datagram,
	}
	for uri, want := range tests {
		t.Run(uri, func(t *testing.T) {
			client, err := dial.New(uri)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, err = rpc.One(ctx, client, "core.uptime")
			if got := hintText(t, err, uri); !strings.Contains(got, want) {
				t.Errorf("error %v has the hint %q, want %q in it", err, got, want)
			}
		})
	}
}

// hintText returns the hint for an error of a target, with SETTING before the key of each setting.
func hintText(t *testing.T, err error, uri string) string {
	t.Helper()
	target, parseErr := dial.ParseTarget(uri)
	if parseErr != nil {
		t.Fatal(parseErr)
	}
	return For(err, target).Text(func(key string) string { return "SETTING " + key })
}
