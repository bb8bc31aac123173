package binrpc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// capture is a pair of replies of a real Kamailio to the same call.
type capture struct {
	name   string // VERSION/METHOD_ARGS
	packet []byte // over BINRPC
	json   []byte // over JSON-RPC, a moment later
}

// captures reads all captures of testdata.
func captures(t testing.TB) []capture {
	t.Helper()
	paths, err := filepath.Glob("testdata/captures/*/*.binrpc")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	var all []capture
	for _, path := range paths {
		stem := strings.TrimSuffix(path, ".binrpc")
		name := filepath.Base(filepath.Dir(path)) + "/" + filepath.Base(stem)
		all = append(all, capture{name, readFile(t, path), readFile(t, stem+".json")})
	}
	return all
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// shape is a form of a reply that is the same for both transports, although they encode
// the reply differently: a null, a number, a text, or a list of shapes with or without
// names.
type shape struct {
	name string
	kind string // "null", "number", "text" or "list"
	num  float64
	text string
	list []shape
}

func shapeOfValue(v rpc.Value) shape {
	s := shape{name: v.Name()}
	switch v.Kind() {
	case rpc.KindInt, rpc.KindDouble:
		s.kind = "number"
		s.num, _ = v.Float()
	case rpc.KindString, rpc.KindBytes:
		s.kind, s.text = "text", v.Text()
	case rpc.KindStruct, rpc.KindArray:
		s.kind = "list"
		for member := range v.All() {
			s.list = append(s.list, shapeOfValue(member))
		}
	default:
		s.kind = "null"
	}
	return s.simplified()
}

// shapeOfJSON reads token by token, because most JSON parsers keep only one value of a
// name that repeats in an object.
func shapeOfJSON(t testing.TB, decoder *json.Decoder) shape {
	t.Helper()
	token := nextToken(t, decoder)
	switch token := token.(type) {
	case nil:
		return shape{kind: "null"}
	case bool:
		if token {
			return shape{kind: "number", num: 1}
		}
		return shape{kind: "number"}
	case json.Number:
		number, err := token.Float64()
		if err != nil {
			t.Fatal(err)
		}
		return shape{kind: "number", num: number}
	case string:
		return shape{kind: "text", text: token}
	}
	s := shape{kind: "list"}
	for decoder.More() {
		name := ""
		if token == json.Delim('{') {
			name = fmt.Sprint(nextToken(t, decoder))
		}
		member := shapeOfJSON(t, decoder)
		member.name = name
		s.list = append(s.list, member)
	}
	nextToken(t, decoder) // the closing bracket or brace
	return s.simplified()
}

func nextToken(t testing.TB, decoder *json.Decoder) json.Token {
	t.Helper()
	token, err := decoder.Token()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// simplified replaces each object with one member in a list by that member, because
// JSON-RPC encodes a list of named values in this way.
func (s shape) simplified() shape {
	for i, member := range s.list {
		if member.name == "" && len(member.list) == 1 && member.list[0].name != "" {
			s.list[i] = member.list[0]
		}
	}
	return s
}

// record returns the only element of a list with one element, and other shapes
// unchanged.
func (s shape) record() shape {
	for len(s.list) == 1 && s.list[0].name == "" {
		s = s.list[0]
	}
	return s
}

// jsonReply returns the result of a reply over JSON-RPC, or the text of its error.
func jsonReply(t testing.TB, text []byte) (result shape, fault string) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	for _, member := range shapeOfJSON(t, decoder).list {
		switch member.name {
		case "result":
			result = member
			result.name = ""
		case "error":
			for _, detail := range member.list {
				if detail.name == "message" {
					fault = detail.text
				}
			}
		}
	}
	return result, fault
}

// moving contains the numbers, by the last name of their path or by method, that may
// change between the two captures of a pair. Kamailio also counts each call over
// JSON-RPC as a request.
var moving = map[string]bool{}

func init() {
	for _, names := range []string{
		"cnt.get_core_rcv_requests rcv_requests core.rcv_requests core.rcv_requests_bye",
		"core.rcv_replies core.rcv_replies_2xx core.rcv_replies_2xx_bye",
		"opened_connections tcp.current_opened_connections tcp.established tcp.passive_open",
		"sl.200_replies sl.sent_replies waiting rpl_received rpl_sent 2xx",
		"tmx.2xx_transactions tmx.UAS_transactions tmx.inuse_transactions tmx.rpl_received tmx.rpl_relayed tmx.rpl_sent",
		"free used real_used fragments total_frags",
		"shmem.fragments shmem.free_size shmem.max_used_size shmem.real_used_size shmem.used_size",
		"xhttp_prom.metric_list_print", // contains a time
	} {
		for _, name := range strings.Fields(names) {
			moving[name] = true
		}
	}
}

// unlike contains the calls whose two replies differ, with the reason.
var unlike = map[string]string{
	"core.tcp_list":             "over JSON-RPC it contains the connection of the call",
	"ctl.connections":           "rpc available only over binrpc (ctl)",
	"ctl.listen":                "over JSON-RPC the reply is empty",
	"ctl.who":                   "rpc available only over binrpc (ctl)",
	"6.0.1/dispatcher.oclist_1": "fault 500: Invalid Parameters", // the captured argument is a string
	"6.1.5/dispatcher.oclist_1": "fault 500: Invalid Parameters",
	"dlg.profile_list":          "a parameter is missing, which is a fault only over BINRPC",
	"mod.mem_stats_core_shm":    "allocations change between the calls",
	"mod.stats_all_all":         "allocations change between the calls",
	"mod.stats_core_shm":        "allocations change between the calls",
	"tm.list":                   "transactions change between the calls",
}

// lastOnly contains the methods of which Kamailio sends only the last record over
// JSON-RPC, because they are not marked to return an array.
var lastOnly = map[string]bool{"dns.mem_info": true, "rl.stats": true}

func TestCapturesAgreeWithJSON(t *testing.T) {
	for _, capture := range captures(t) {
		t.Run(capture.name, func(t *testing.T) {
			message, err := Parse(capture.packet, rpc.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			_, method, _ := strings.Cut(capture.name, "/")
			result, fault := jsonReply(t, capture.json)
			if unlike[method] != "" || unlike[capture.name] != "" {
				return
			}
			if message.Kind == KindFault || fault != "" {
				compareFaults(t, message.Fault(), fault)
				return
			}
			got, want := shapeOfValue(message.Value).record(), result.record()
			if lastOnly[method] {
				got = got.list[len(got.list)-1]
			}
			compare(t, method, got, want)
		})
	}
}

func compareFaults(t *testing.T, got *rpc.Fault, want string) {
	t.Helper()
	switch {
	case got == nil:
		t.Errorf("got no fault, JSON has %q", want)
	case got.Code < 400 || got.Code > 699 || got.Reason == "":
		t.Errorf("got %v, want a code from 400 to 699 and a reason", got)
	case got.NoSuchMethod() != (&rpc.Fault{Code: 500, Reason: want}).NoSuchMethod():
		t.Errorf("%v, JSON has %q", got, want)
	case !got.NoSuchMethod() && got.Reason != want:
		t.Errorf("%v, JSON has %q", got, want)
	}
}

func compare(t *testing.T, path string, got, want shape) {
	t.Helper()
	if got.kind != want.kind || got.name != want.name {
		t.Errorf("%s: a %s %q, JSON has a %s %q", path, got.kind, got.name, want.kind, want.name)
		return
	}
	if len(got.list) != len(want.list) {
		t.Errorf("%s: %d members, JSON has %d", path, len(got.list), len(want.list))
		return
	}
	for i, member := range got.list {
		compare(t, path+" "+member.name, member, want.list[i])
	}
	if moving[path[strings.LastIndexByte(path, ' ')+1:]] {
		return
	}
	if got.num != want.num || got.text != want.text && !moved(got.text, want.text) {
		t.Errorf("%s: %v %q, JSON has %v %q", path, got.num, got.text, want.num, want.text)
	}
}

// moved reports whether two lines of stats.get_statistics, "group:name = number", differ
// only in a number that is in moving.
func moved(got, want string) bool {
	name, _, _ := strings.Cut(got, " = ")
	other, _, _ := strings.Cut(want, " = ")
	return name == other && moving[strings.Replace(name, ":", ".", 1)]
}
