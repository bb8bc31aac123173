package dial

import (
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	for _, test := range []struct {
		uri              string
		network, address string
		string           string // the target as a URI; "" if the same as uri
	}{
		{"unix:/run/kamailio_ctl", "unix", "/run/kamailio_ctl", ""},
		{"unix:///run/kamailio_ctl", "unix", "/run/kamailio_ctl", "unix:/run/kamailio_ctl"},
		{"unix:////run/ctl", "unix", "//run/ctl", ""},
		{"unix:/run/a:b", "unix", "/run/a:b", ""},
		{"unix:/run/with space", "unix", "/run/with space", ""},
		{"unixd:/run/kamailio_ctl", "unixgram", "/run/kamailio_ctl", ""},
		{"unixd:///run/kamailio_ctl", "unixgram", "/run/kamailio_ctl", "unixd:/run/kamailio_ctl"},
		{"tcp://localhost:2049", "tcp", "localhost:2049", ""},
		{"tcp:127.0.0.1:2049", "tcp", "127.0.0.1:2049", "tcp://127.0.0.1:2049"},
		{"tcp://[::1]:2049", "tcp", "[::1]:2049", ""},
		{"tcp://[fe80::1%eth0]:2049", "tcp", "[fe80::1%eth0]:2049", ""},
		{"udp://localhost:1", "udp", "localhost:1", ""},
		{"udp:localhost:65535", "udp", "localhost:65535", "udp://localhost:65535"},
		// Forms that ctl's parameter binrpc accepts.
		{"unixs:/run/kamailio_ctl", "unix", "/run/kamailio_ctl", "unix:/run/kamailio_ctl"},
		{"unixs:///run/kamailio_ctl", "unix", "/run/kamailio_ctl", "unix:/run/kamailio_ctl"},
		{"UNIXD:/run/kamailio_ctl", "unixgram", "/run/kamailio_ctl", "unixd:/run/kamailio_ctl"},
		{"TCP:localhost:2046", "tcp", "localhost:2046", "tcp://localhost:2046"},
		{"unix:/" + strings.Repeat("a", 102), "unix", "/" + strings.Repeat("a", 102), ""},
	} {
		got, err := ParseTarget(test.uri)
		if want := (Target{BINRPC, test.network, test.address}); err != nil || got != want {
			t.Errorf("%q: got %+v, %v; want %+v", test.uri, got, err, want)
			continue
		}
		want := test.string
		if want == "" {
			want = test.uri
		}
		if got.String() != want {
			t.Errorf("%q: the target as a URI is %q, want %q", test.uri, got, want)
		}
	}
}

func TestParseTargetJSONRPC(t *testing.T) {
	for uri, want := range map[string]Target{
		"http://127.0.0.1:5060/RPC":          {JSONRPC, "http", "http://127.0.0.1:5060/RPC"},
		"https://sip.example.org/RPC?x=1":    {JSONRPC, "http", "https://sip.example.org/RPC?x=1"},
		"jsonrpc+unixgram:/run/kamailio_rpc": {JSONRPC, "unixgram", "/run/kamailio_rpc"},
		"jsonrpc+tcp://127.0.0.1:8090":       {JSONRPC, "tcp", "127.0.0.1:8090"},
		"jsonrpc+udp://[::1]:8090":           {JSONRPC, "udp", "[::1]:8090"},
	} {
		got, err := ParseTarget(uri)
		if err != nil || got != want || got.String() != uri {
			t.Errorf("%q: got %+v (%s), %v; want %+v", uri, got, got, err, want)
		}
	}
}

func TestErrorsContainNoPassword(t *testing.T) {
	for _, uri := range []string{"http://user:secret@host/RPC", "http://user:secret@host:x/", "https://secret@/", "tcp://user:secret@host",
		"foo://user:secret@h", "tcp://user:secret@h:1", "http:user:secret@h", "ftp://h/?token=secret", "user:secret@h", "unix:user:secret@x", "unix:relative@secret", "unixd:" + strings.Repeat("/secret", 20) + "@",
		"http://h:x/?secret=a@b", "http://user:se?secret@h", "https://h#secret", "tcp:secret@*:1", "jsonrpc+udp:h:secret@1", "unix:/run/\x00?secret"} {
		if _, err := ParseTarget(uri); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: error %v", uri, err)
		}
	}
}

func TestRedacted(t *testing.T) {
	target, err := ParseTarget("https://host/RPC?token=secret")
	if err != nil || target.Redacted() != "https://host/RPC" {
		t.Errorf("%q, %v", target.Redacted(), err)
	}
}

func TestParseTargetErrors(t *testing.T) {
	for _, test := range []struct{ uri, want string }{
		{"", "is not the URI of a Kamailio: use unix:/path"},
		{"/run/kamailio_ctl", "use unix:/run/kamailio_ctl for a socket of ctl, jsonrpc+unixgram:/run/kamailio_ctl"},
		{"unix", "use unix:/path"},
		{"ftp://localhost:80", "use unix:/path"},
		{"http://", "the host is missing"},
		{"http:/RPC", "the host is missing"},
		{"https://host/RPC#x", "must not contain #"},
		{"http://host:port/", "the URL is not valid"},
		{"http://host:65536/RPC", "the port must be a number from 1 to 65535"},
		{"https://host:0/RPC", "the port must be a number from 1 to 65535"},
		{"jsonrpc+tcp://host", "must be host:port"},
		{"jsonrpc+unixgram:rpc", "must start with a slash"},
		{"unix:", "the path is missing"},
		{"unix://", "the path is missing"},
		{"unix:run/ctl", "the path must start with a slash"},
		{"unix://run/ctl", "the path must start with a slash"},
		{"unix:@abstract", "must start with a slash"},
		{"unix:/run/\x00ctl", "zero byte"},
		{"unixd:/" + strings.Repeat("a", 103), "the path has 104 bytes, the path of a unix socket has at most 103"},
		{"tcp:*:2046", "* means all addresses of Kamailio's host: use one of them, for example tcp://127.0.0.1:2046"},
		{"udp://*:3012", "for example udp://127.0.0.1:3012"},
		{"tcp:3012", "the host is missing: use for example tcp://127.0.0.1:3012"},
		{"tcp::2046", "the host is missing: use for example tcp://127.0.0.1:2046"},
		{"udp:localhost", "must be host:port, for example udp://localhost:2049"},
		{"localhost:3000", "use unix:/path"},
		{"fifo:/tmp/fifo", "use unix:/path"},
		{"tcp://", "must be host:port"},
		{"tcp://localhost", "must be host:port"},
		{"tcp://::1:2049", "must be host:port"},
		{"tcp://:2049", "the host is missing"},
		{"tcp://localhost:0", "must be a number from 1 to 65535"},
		{"tcp://localhost:65536", "must be a number from 1 to 65535"},
		{"tcp://localhost:ctl", "must be a number from 1 to 65535"},
		{"tcp://localhost:2049/RPC", "must be a number from 1 to 65535"},
		{"tcp:///run/ctl:1", "neither a name nor an address"},
		{"tcp://user@localhost:2049", "neither a name nor an address"},
		{"udp://local host:2049", "neither a name nor an address"},
	} {
		got, err := ParseTarget(test.uri)
		if err == nil {
			t.Errorf("%q: got %+v, want an error", test.uri, got)
			continue
		}
		if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got %q, want %q in it", test.uri, err, test.want)
		}
	}
}

// FuzzParseTarget checks that the URI of a parsed target is parsed as the same target.
func FuzzParseTarget(f *testing.F) {
	for _, uri := range []string{
		"unix:/run/kamailio_ctl", "unix:////run/ctl", "unixd:///run/ctl", "tcp://localhost:2049",
		"tcp:127.0.0.1:2049", "udp://[::1]:2049", "tcp://[fe80::1%eth0]:1", "http://localhost", "jsonrpc+udp:h:1", "https://h/?#", "",
	} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		target, err := ParseTarget(uri)
		if err != nil {
			if target != (Target{}) {
				t.Fatalf("%q: got %+v with the error %v, want the zero Target", uri, target, err)
			}
			return
		}
		if again, err := ParseTarget(target.String()); again != target || err != nil {
			t.Fatalf("%q: got %+v; its URI %q: got %+v, %v", uri, target, target, again, err)
		}
	})
}
