package rpc_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/jsonrpc"
)

// differ matches the captures of calls for which Kamailio sends different data over
// BINRPC and over JSON-RPC.
var differ = regexp.MustCompile(`/(` + strings.Join([]string{
	`ctl\..*`,                    // refused or empty over JSON-RPC
	`dns\.mem_info`, `rl\.stats`, // only the last record over JSON-RPC
	`core\.tcp_list`,                     // contains the connection of the call
	`mod\.(mem_)?stats_.*`, `tm\.list.*`, // the contents of memory change between the calls
}, `|`) + `)\.binrpc$`)

// TestPlainIsTheSameOverBothTransports compares the replies to two equal calls, one after
// the other. Numbers may differ.
func TestPlainIsTheSameOverBothTransports(t *testing.T) {
	paths, err := filepath.Glob("binrpc/testdata/captures/*/*.binrpc")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	compared := map[string]int{}
	for _, path := range paths {
		if differ.MatchString(path) {
			continue
		}
		binary, err := binrpc.Parse(readFile(t, path), rpc.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		text, err := jsonrpc.Parse(readFile(t, strings.TrimSuffix(path, "binrpc")+"json"), rpc.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if binary.Kind != binrpc.KindReply || text.Fault != nil {
			continue
		}
		compared[filepath.Base(filepath.Dir(path))]++
		if got, want := withoutNumbers(binary.Value.Plain()), withoutNumbers(text.Value.Plain()); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: over BINRPC\n%v\nover JSON-RPC\n%v", path, got, want)
		}
		for _, value := range []rpc.Value{binary.Value, text.Value} {
			checkNothingIsLost(t, path, value)
		}
	}
	for _, version := range []string{"5.6.3", "6.0.1", "6.1.5"} {
		if compared[version] < 50 {
			t.Errorf("%d replies of Kamailio %s were compared, want at least 50", compared[version], version)
		}
	}
}

var digits = regexp.MustCompile(`[0-9]+`)

// withoutNumbers replaces all numbers, including those in texts, by 1.
func withoutNumbers(plain any) any {
	switch plain := plain.(type) {
	case int, float64:
		return 1
	case string:
		return digits.ReplaceAllString(plain, "1")
	case []any:
		for i := range plain {
			plain[i] = withoutNumbers(plain[i])
		}
	case map[string]any:
		for name := range plain {
			plain[name] = withoutNumbers(plain[name])
		}
	}
	return plain
}

// checkNothingIsLost checks that the plain form of a value, and its JSON, have as many
// scalar values as the value. The JSON is parsed by a parser that keeps one member of each
// name.
func checkNothingIsLost(t *testing.T, name string, v rpc.Value) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var read any
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	want := scalars(v)
	if got := plainScalars(v.Plain()); got != want {
		t.Errorf("%s: the plain form has %d of %d values", name, got, want)
	}
	if got := plainScalars(read); got != want {
		t.Errorf("%s: JSON has %d of %d values", name, got, want)
	}
}

func scalars(v rpc.Value) int {
	if v.Kind() < rpc.KindStruct {
		return 1
	}
	n := 0
	for member := range v.All() {
		n += scalars(member)
	}
	return n
}

func plainScalars(plain any) int {
	n := 0
	switch plain := plain.(type) {
	case []any:
		for _, element := range plain {
			n += plainScalars(element)
		}
	case map[string]any:
		for _, member := range plain {
			n += plainScalars(member)
		}
	default:
		return 1
	}
	return n
}

// TestJSONOfANamedList checks that the JSON of a list of named values is an array of
// objects, as Kamailio sends it over JSON-RPC.
func TestJSONOfANamedList(t *testing.T) {
	const list = `[{"DEST":{"URI":"sip:a"}},{"DEST":{"URI":"sip:b"}}]`
	for name, targets := range map[string]string{
		"several":     list,
		"one":         `[{"DEST":{"URI":"sip:a"}}]`,
		"a list each": `[{"SET":` + list + `},{"SET":` + list + `}]`,
	} {
		message, err := jsonrpc.Parse([]byte(`{"jsonrpc":"2.0","result":{"TARGETS":`+targets+`,"N":2},"id":1}`), rpc.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := message.Value.String(), `{"TARGETS":`+targets+`,"N":2}`; got != want {
			t.Errorf("%s: over JSON-RPC: got %s, want %s", name, got, want)
		}
	}
	destination := func(uri string) rpc.Member {
		return rpc.Member{Name: "DEST", Value: rpc.Members{{Name: "URI", Value: uri}}}
	}
	v, err := rpc.ValueOf(rpc.Members{destination("sip:a"), destination("sip:b")})
	if err != nil || v.String() != list {
		t.Errorf("over BINRPC: got %v, %v; want %s", v, err, list)
	}
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
