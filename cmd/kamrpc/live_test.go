//go:build linux

package main

import (
	"encoding/json"
	"path/filepath"
	"regexp"
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
			if _, stderr, status := kamrpc(t, "-u", uri, "--yes", test.set, "calls", test.key, test.value); status != 0 {
				t.Errorf("%s of %s: %s", test.set, uri, stderr)
			}
			if stdout, stderr, _ := kamrpc(t, "-u", uri, "htable.get", "calls", test.key); !strings.Contains(stdout, test.want) {
				t.Errorf("%s: %s%s, want %s", uri, stdout, stderr, test.want)
			}
		}
	}
}

// TestLiveConfirmation calls methods that change something, or are unsafe, without --yes. Nothing may have been called.
func TestLiveConfirmation(t *testing.T) {
	t.Parallel()
	k := lab.StartTest(t, lab.Options{})
	for _, uri := range []string{k.URI("unix"), k.JSONRPCURL()} {
		if _, stderr, status := kamrpc(t, "-u", uri, "--yes", "htable.seti", "calls", "confirmed", "1"); status != 0 {
			t.Fatal(stderr)
		}
		checkFails(t, []string{"-u", uri, "htable.seti", "calls", "confirmed", "2"}, "htable.seti was not called, because it changes the state of Kamailio: it sets a key of a hash table", "--yes before the method")
		checkFails(t, []string{"-u", uri, "htable.delete", "calls", "confirmed"}, "htable.delete was not called")
		checkFails(t, []string{"-u", uri, "core.kill", "15"}, "core.kill was not called, because it is unsafe: it sends a signal")
		checkFails(t, []string{"-u", uri, "core.kill", "15", "--yes"}, "flags come before the method")
		checkFails(t, []string{"-u", uri, "corex.debug", "4"}, "corex.debug was not called")
		checkFails(t, []string{"-u", uri, "--yes", crashes}, "can crash Kamailio and is not called")
		if stdout, stderr, _ := kamrpc(t, "-u", uri, "htable.get", "calls", "confirmed"); !strings.Contains(stdout, `"value": 1`) {
			t.Errorf("%s: %s%s", uri, stdout, stderr)
		}
	}
}

// TestLiveList lists methods with what they do.
func TestLiveList(t *testing.T) {
	t.Parallel()
	k := lab.StartTest(t, lab.Options{})
	stdout, stderr, status := kamrpc(t, "-u", k.URI("unix"), "--list")
	for _, want := range []string{`(?m)^core\.kill +unsafe$`, `(?m)^core\.uptime +reads$`, `(?m)^htable\.dump +costly$`, `(?m)^htable\.seti +changes$`, `(?m)^pkg\.stats +unsafe, reads without arguments$`} {
		if !regexp.MustCompile(want).MatchString(stdout) || status != 0 {
			t.Errorf("status %d, %s is not in the list: %s%s", status, want, stdout, stderr)
		}
	}
	if strings.Contains(stdout, "unknown") {
		t.Errorf("the table lacks methods of Kamailio: %s", stdout)
	}
}

// TestLiveLargeReply gets a reply that is larger than kamcmd accepts.
func TestLiveLargeReply(t *testing.T) {
	t.Parallel()
	const destinations = 4000
	k := lab.StartTest(t, lab.Options{Destinations: destinations})
	if out, err := k.Kamcmd(t.Context(), "dispatcher.list"); err == nil && strings.Count(out, "DEST") >= destinations {
		t.Log("kamcmd accepts the reply too")
	}
	for _, uri := range []string{k.URI("unix"), k.JSONRPCURL()} {
		var stdout, stderr string
		var status int
		for range 10 {
			stdout, stderr, status = kamrpc(t, "-u", uri, "-t", "1m", "dispatcher.list")
			// Kamailio drops the rest of a reply that a busy machine does not read for 10 ms.
			if !strings.Contains(stderr, "Kamailio stopped sending a reply that was not read") {
				break
			}
		}
		if n := strings.Count(stdout, `"DEST"`); n != 5+destinations || status != 0 {
			t.Errorf("%s: %d destinations, want %d; status %d: %s", uri, n, 5+destinations, status, stderr)
		}
	}
}
