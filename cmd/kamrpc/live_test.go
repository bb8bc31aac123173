//go:build linux

package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// TestLiveDestinations lists the destinations of a real Kamailio over BINRPC and JSON-RPC.
// It parses the JSON as jq does, which keeps only one value of a repeated name. No
// destination may be missing.
func TestLiveDestinations(t *testing.T) {
	t.Parallel()
	const more = 10
	for _, suite := range lab.Suites() {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			k := lab.StartTest(t, lab.Options{Suite: suite, Destinations: more})
			for _, uri := range []string{
				k.URI("unix"), strings.Replace(k.URI("unix"), "unix:", "unixs:", 1), k.URI("tcp"), k.URI("unixd"), k.JSONRPCURL(),
				"jsonrpc+unixgram:" + filepath.Join(k.Dir, "kamailio_rpc.sock"),
			} {
				stdout, stderr, status := kamrpc(t, "-u", uri, "dispatcher.list")
				var reply any
				if err := json.Unmarshal([]byte(stdout), &reply); err != nil || status != 0 {
					t.Fatalf("%s: status %d, %v: %s%s", uri, status, err, stdout, stderr)
				}
				// The lab always has five destinations.
				if n := members(reply, "DEST"); n != 5+more || n != strings.Count(stdout, `"DEST"`) {
					t.Errorf("%s: JSON of %d bytes has %d destinations, want %d", uri, len(stdout), n, 5+more)
				}
			}
		})
	}
}

// members returns the number of members with a name, at any depth.
func members(value any, name string) int {
	n := 0
	switch value := value.(type) {
	case map[string]any:
		for key, member := range value {
			if key == name {
				n++
			}
			n += members(member, name)
		}
	case []any:
		for _, element := range value {
			n += members(element, name)
		}
	}
	return n
}

// TestLiveArguments passes arguments to a real Kamailio over both protocols: a negative
// number, and texts that kingpin would replace by the lines of a file.
func TestLiveArguments(t *testing.T) {
	t.Parallel()
	k := lab.StartTest(t, lab.Options{})
	for _, uri := range []string{k.URI("unix"), k.JSONRPCURL()} {
		for _, test := range []struct{ set, key, value, want string }{
			{"htable.seti", "negative", "-1", `"value": -1`},
			{"htable.sets", "at", "@secret.txt", `"value": "@secret.txt"`},
			{"htable.sets", "nobody", "@nobody", `"value": "@nobody"`},
		} {
			if _, stderr, status := kamrpc(t, "-u", uri, test.set, "calls", test.key, test.value); status != 0 {
				t.Errorf("%s of %s: %s", test.set, uri, stderr)
			}
			if stdout, stderr, _ := kamrpc(t, "-u", uri, "htable.get", "calls", test.key); !strings.Contains(stdout, test.want) {
				t.Errorf("%s: %s%s, want %s", uri, stdout, stderr, test.want)
			}
		}
	}
}
